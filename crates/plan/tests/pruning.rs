//! Plans decode what they need and nothing more, and positions still mean the same fields.

use millrace_plan::{Column, FlatMap, OperatorKind, Plan, TimeOrigin, load, validate};

/// A plan over the fields `a` to `f` (int64), `list` (array of string) and `at` (timestamp).
fn plan(spec: &str) -> Plan {
    let fields: String = ["a", "b", "c", "d", "e", "f"]
        .map(|name| format!("{{name: {name}, type: int64}}, "))
        .concat();
    let text = format!(
        "apiVersion: millrace.io/v1alpha1
kind: StreamPipeline
metadata: {{name: pruned}}
spec:
  source: {{kafka: {{bootstrapServers: ['b:9092'], topics: [in]}}}}
  schema: {{fields: [{fields}{{name: list, type: array, items: {{type: string}}}}, {{name: at, type: timestamp}}]}}
  sinks: [{{name: out, kafka: {{topic: out}}}}]
{spec}"
    );
    let manifests = load(&text).expect("the manifest loads");
    validate(&manifests[0], &[]).expect("the manifest is valid")
}

fn names(fields: &[millrace_plan::Field]) -> Vec<&str> {
    fields.iter().map(|field| field.name.as_str()).collect()
}

#[test]
fn a_copy_decodes_nothing() {
    assert!(plan("").input.is_empty());
}

#[test]
fn a_filter_decodes_what_it_reads_and_the_key_and_the_time() {
    let plan = plan("  operators: [{name: x, filter: {where: d > 1}}]\n  key: [f]\n  eventTime: {field: at}\n");
    assert_eq!(names(&plan.input), ["d", "f", "at"]);
    assert_eq!(plan.key.as_ref().map(|key| key.fields.clone()), Some(vec![1]));
    assert!(matches!(plan.event_time.origin, TimeOrigin::Field { position: 2, .. }));
    assert_eq!(names(plan.output()), names(&plan.input));
}

#[test]
fn a_window_needs_its_keys_and_arguments_only() {
    let plan = plan(
        "  key: [e]
  operators:
    - {name: shape, map: {set: [{field: g, expression: a + b}], drop: [list]}}
    - {name: sums, window: {tumbling: {size: 1m}, keys: [e], aggregates: [{name: s, function: sum, expression: g}]}}
",
    );
    assert_eq!(names(&plan.input), ["a", "b", "e"]);
    assert_eq!(names(&plan.operators[0].output), ["e", "g"]);
    let OperatorKind::Map(map) = &plan.operators[0].kind else {
        panic!("a map stays a map")
    };
    assert!(matches!(map.columns[..], [Column::Input(2), Column::Computed(_)]));
    let OperatorKind::Window(window) = &plan.operators[1].kind else {
        panic!("a window stays a window")
    };
    assert_eq!(window.keys, [0]);
    assert_eq!(
        names(plan.output()),
        ["e", "window_start", "window_end", "is_final", "s"]
    );
}

#[test]
fn an_aggregate_needs_what_it_is_ordered_by_and_what_decides_who_takes_part() {
    let plan = plan(
        "  key: [e]
  operators:
    - {name: tops, groupBy: {keys: [e], aggregates: [{name: t, function: topN, limit: 2, expression: a, by: c, where: f > 0}]}}
",
    );
    assert_eq!(names(&plan.input), ["a", "c", "e", "f"]);
}

#[test]
fn a_computed_field_that_nobody_reads_is_still_computed() {
    let plan = plan(
        "  operators:
    - {name: first, map: {set: [{field: x, expression: 1 / c}], keep: [a, b]}}
    - {name: second, map: {keep: [b]}}
",
    );
    assert_eq!(names(&plan.input), ["b", "c"]);
    assert_eq!(names(&plan.operators[0].output), ["b", "x"]);
    assert_eq!(names(plan.output()), ["b"]);
}

#[test]
fn exploding_moves_the_array_with_its_neighbours() {
    let plan = plan(
        "  operators:
    - {name: items, flatMap: {explode: {field: list, as: item, position: n}}}
    - {name: shape, map: {keep: [at, item, c]}}
",
    );
    assert_eq!(names(&plan.input), ["c", "list", "at"]);
    assert_eq!(names(&plan.operators[0].output), ["c", "n", "item", "at"]);
    let OperatorKind::FlatMap(FlatMap::Explode(explode)) = &plan.operators[0].kind else {
        panic!("it explodes")
    };
    assert_eq!((explode.array, explode.position), (1, true));
    let OperatorKind::Map(map) = &plan.operators[1].kind else {
        panic!("a map stays a map")
    };
    assert!(matches!(
        map.columns[..],
        [Column::Input(3), Column::Input(2), Column::Input(0)]
    ));
}

#[test]
fn outputs_of_a_split_keep_their_columns_together() {
    let plan = plan(
        "  operators:
    - name: split
      flatMap:
        outputs:
          - {set: [{field: x, expression: a}, {field: y, expression: b}, {field: z, expression: c}]}
          - {set: [{field: z, expression: d}, {field: y, expression: b + 1}, {field: x, expression: a}], where: e > 0}
    - {name: shape, map: {keep: [z]}}
",
    );
    assert_eq!(names(&plan.input), ["b", "c", "d", "e"]);
    assert_eq!(names(&plan.operators[0].output), ["y", "z"]);
    let OperatorKind::FlatMap(FlatMap::Split(outputs)) = &plan.operators[0].kind else {
        panic!("it splits")
    };
    assert!(matches!(
        outputs[0].projection.columns[..],
        [Column::Input(0), Column::Input(1)]
    ));
    assert!(matches!(
        outputs[1].projection.columns[..],
        [Column::Computed(_), Column::Input(2)]
    ));
}

#[test]
fn a_column_that_one_output_computes_keeps_what_the_other_passes() {
    let plan = plan(
        "  operators:
    - name: split
      flatMap:
        outputs:
          - {set: [{field: x, expression: a}, {field: y, expression: b}]}
          - {set: [{field: x, expression: a}, {field: y, expression: c + 1}]}
    - {name: shape, map: {keep: [x]}}
",
    );
    assert_eq!(names(&plan.input), ["a", "b", "c"]);
    assert_eq!(names(&plan.operators[0].output), ["x", "y"]);
}

#[test]
fn every_expression_names_fields_that_are_there() {
    let plan = plan(
        "  key: [a]
  operators:
    - {name: one, filter: {where: a > 0 AND b > 0}}
    - {name: two, map: {set: [{field: g, expression: c * 2}], rename: [{from: d, to: h}], drop: [list, e]}}
    - {name: three, filter: {where: h > 0}}
    - {name: four, groupBy: {keys: [a], aggregates: [{name: m, function: max, expression: g + h}]}}
",
    );
    for (position, operator) in plan.operators.iter().enumerate() {
        let fields = plan.fields_into(position);
        millrace_plan::visit_expressions(&operator.kind, &mut |expression| {
            for name in expression.fields() {
                assert!(fields.position(&name).is_some(), "{} reads {name}", operator.name);
            }
        });
    }
    assert_eq!(names(&plan.input), ["a", "b", "c", "d"]);
}

#[test]
fn a_deduplicate_needs_its_keys_and_a_previous_all_that_it_remembers() {
    let plan = plan(
        "  key: [e]
  operators:
    - {name: once, deduplicate: {keys: [e, c], within: 1h}}
    - {name: before, previous: {keys: [e], fields: [{field: a, as: x}, {field: b, as: y}]}}
    - {name: shape, map: {keep: [f], set: [{field: g, expression: x}]}}
",
    );
    assert_eq!(names(&plan.input), ["a", "b", "c", "e", "f"]);
    assert_eq!(names(plan.fields_out_of(1)), ["a", "b", "c", "e", "f", "x", "y"]);
    let OperatorKind::Previous(previous) = &plan.operators[1].kind else {
        panic!("it is a previous")
    };
    assert_eq!((&previous.keys, &previous.fields), (&vec![3], &vec![0, 1]));
    assert!(matches!(&plan.operators[0].kind, OperatorKind::Deduplicate(it) if it.keys == [3, 2]));
}

#[test]
fn what_only_the_first_stage_needs_does_not_cross() {
    let plan = plan(
        "  key: [a]
  eventTime: {field: d}
  operators:
    - {name: some, filter: {where: b > 0}}
    - {name: hourly, window: {tumbling: {size: 1h}, keys: [c], aggregates: [{name: m, function: max, expression: e}]}}
",
    );
    assert_eq!(names(&plan.input), ["a", "b", "c", "d", "e"]);
    let cut = &plan.repartitions[0];
    assert_eq!((names(&cut.fields), &cut.carried), (vec!["c", "e"], &vec![2, 4]));
    assert_eq!(names(&plan.input_of(1)), ["c", "e"]);
    assert!(matches!(&plan.operators[1].kind, OperatorKind::Window(window) if window.keys == [0]));
}

#[test]
fn rows_that_cross_to_a_deduplicate_come_out_whole() {
    let plan = plan("  key: [a]\n  operators: [{name: once, deduplicate: {keys: [b], within: 1h}}]\n");
    assert!(!plan.passes_bytes_through());
    assert_eq!(names(plan.output()), names(&plan.repartitions[0].fields));
    assert!(plan.output().len() > 5);
}
