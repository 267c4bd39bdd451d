//! A random manifest: operators are tried one after the other, through the same `load` and `validate` as a user's file.

use std::sync::Arc;

use millrace_engine::{Program, Tables};
use millrace_plan::{ArrayItem, Field, FieldType, ItemKind, Operator, OperatorKind, Plan};
use serde_json::{Value, json};

use crate::operators::{self, Place};
use crate::random::Random;

/// Operators tried before a manifest is taken as it stands.
const TRIES: usize = 12;

/// A manifest that stands, compiled.
pub(crate) struct Made {
    /// As YAML.
    pub(crate) text: String,
    pub(crate) program: Arc<Program>,
    /// The same with rows that cross one by one, where they are combined at some cut.
    pub(crate) one_by_one: Option<Arc<Program>>,
    pub(crate) shape: Shape,
    /// Sorts of its operators.
    pub(crate) operators: Vec<&'static str>,
    /// Operators that were refused.
    pub(crate) refused: usize,
}

/// What the records are like.
pub(crate) struct Shape {
    /// Declared fields: name, type, whether nullable.
    pub(crate) fields: Vec<(&'static str, &'static str, bool)>,
    /// Fields of the record key.
    pub(crate) key: Vec<&'static str>,
    /// Whether the time of a record stands in the field `ts`.
    pub(crate) timed_by_field: bool,
}

pub(crate) fn make(random: &mut Random) -> Made {
    let shape = shape(random);
    let mut spec = json!({
        "source": {"kafka": {"bootstrapServers": ["sim:9092"], "topics": ["in"]}},
        "schema": {"fields": shape.fields.iter().map(declared).collect::<Vec<_>>()},
        "eventTime": {"maxOutOfOrderness": random.pick(&["0s", "5ms", "50ms", "1s"])},
        "operators": [],
        "sinks": [{"name": "out", "kafka": {"topic": "out"}}],
    });
    if !shape.key.is_empty() {
        spec["key"] = json!(shape.key);
    }
    if shape.timed_by_field {
        spec["eventTime"]["field"] = json!("ts");
    }
    let mut fields: Vec<Field> = shape.fields.iter().map(field).collect();
    let mut key: Vec<String> = shape.key.iter().map(|name| (*name).to_owned()).collect();
    let (mut operators, mut refused) = (Vec::new(), 0);
    let wanted = random.between(1, 4) as usize;
    for _ in 0..TRIES {
        if operators.len() == wanted {
            break;
        }
        let (sort, mut operator) = tried(
            random,
            &Place {
                fields: &fields,
                key: &key,
            },
        );
        operator["name"] = json!(format!("{}-{}", sort.to_lowercase(), operators.len()));
        let mut longer = spec.clone();
        longer["operators"]
            .as_array_mut()
            .expect("it is a list")
            .push(operator.clone());
        match checked(&longer) {
            Ok(plan) => {
                // Of a plan of filters only what it reads is left.
                if !plan.passes_bytes_through() {
                    fields = plan.output().to_vec();
                }
                spec = longer;
                key = keys_of(&operator).unwrap_or(key);
                operators.push(sort);
            }
            Err(_) => refused += 1,
        }
    }
    let text = written(&spec);
    let plan = checked(&spec).expect("every longer manifest was checked");
    let tables = tables(&plan);
    let compiled = |plan| {
        let program = Program::with_tables(Arc::new(plan), &tables);
        Arc::new(program.unwrap_or_else(|why| unreachable!("{why}\n{text}")))
    };
    let one_by_one = plan
        .repartitions
        .iter()
        .any(|cut| plan.combines(cut).is_ok())
        .then(|| Plan {
            late_records: Some(plan.dead_letter.clone()),
            ..plan.clone()
        });
    let (program, one_by_one) = (compiled(plan), one_by_one.map(compiled));
    Made {
        text,
        program,
        one_by_one,
        shape,
        operators,
        refused,
    }
}

fn tables(plan: &Plan) -> Tables {
    let table = |(position, operator): (usize, &Operator)| match &operator.kind {
        OperatorKind::Join(join) => Some((position, operators::table(join.table.valid_from.is_some()))),
        _ => None,
    };
    plan.operators.iter().enumerate().filter_map(table).collect()
}

fn shape(random: &mut Random) -> Shape {
    let mut fields = vec![("k", "string", random.chance(20))];
    let others = [
        ("n", "int64", random.chance(20)),
        ("a", "int64", true),
        ("f", "float64", true),
        ("d", "decimal", true),
        ("s", "string", true),
        ("b", "boolean", true),
        ("t", "timestamp", true),
    ];
    fields.extend(random.some(&others, 60));
    if random.chance(45) {
        fields.push(*random.pick(&[&("list", "array", true), &("objects", "objects", true)]));
    }
    let timed_by_field = random.chance(75);
    if timed_by_field {
        let (kind, nullable) = (random.pick(&["int64", "timestamp"]), random.chance(20));
        fields.push(("ts", kind, nullable));
    }
    let has = |name: &str| fields.iter().any(|(field, ..)| *field == name);
    let key = match random.below(10) {
        0 => vec![],
        1 | 2 if has("n") => vec!["n"],
        3 | 4 if has("n") => vec!["n", "k"],
        _ => vec!["k"],
    };
    Shape {
        fields,
        key,
        timed_by_field,
    }
}

fn declared((name, kind, nullable): &(&str, &str, bool)) -> Value {
    let mut field = json!({"name": name, "type": kind, "nullable": nullable});
    match *kind {
        "decimal" => (field["precision"], field["scale"]) = (json!(10), json!(2)),
        "array" => field["items"] = json!({"type": "int64", "nullable": true}),
        "objects" => {
            field["type"] = json!("array");
            let members = json!([{"name": "x", "type": "int64"}, {"name": "y", "type": "string", "nullable": true}]);
            field["items"] = json!({"type": "object", "fields": members});
        }
        _ => {}
    }
    field
}

/// The same field as the plan has it.
fn field((name, kind, nullable): &(&str, &str, bool)) -> Field {
    let item = |kind| Arc::new(ArrayItem { nullable: true, kind });
    let field_type = match *kind {
        "string" => FieldType::String,
        "int64" => FieldType::Int64,
        "float64" => FieldType::Float64,
        "decimal" => FieldType::Decimal {
            precision: 10,
            scale: 2,
        },
        "boolean" => FieldType::Boolean,
        "timestamp" => FieldType::Timestamp,
        _ => FieldType::Array(item(ItemKind::Scalar(FieldType::Int64))),
    };
    Field::computed(*name, field_type, *nullable)
}

/// A sort by its weight, and an operator of it.
fn tried(random: &mut Random, place: &Place<'_>) -> (&'static str, Value) {
    let known: Vec<_> = operators::sorts().collect();
    let mut at = random.below(known.iter().map(|(_, weight, _)| weight).sum());
    for (sort, weight, make) in known {
        if at < *weight {
            return (sort, make(random, place));
        }
        at -= weight;
    }
    unreachable!("the number is below the sum of all weights")
}

/// The group key of an operator that has one: it becomes the record key.
fn keys_of(operator: &Value) -> Option<Vec<String>> {
    let bodies = operator.as_object()?.values();
    let keys = bodies.filter_map(|body| body.get("keys")?.as_array()).next()?;
    keys.iter().map(|key| key.as_str().map(str::to_owned)).collect()
}

/// A pipeline's text.
fn written(spec: &Value) -> String {
    let object = json!({
        "apiVersion": "millrace.io/v1alpha1",
        "kind": "StreamPipeline",
        "metadata": {"name": "sim"},
        "spec": spec,
    });
    yaml_serde::to_string(&object).expect("plain data can be written")
}

pub(crate) fn checked(spec: &Value) -> Result<Plan, String> {
    let said = |problems: Vec<millrace_plan::Problem>| format!("{problems:?}");
    let manifests = millrace_plan::load(&written(spec)).map_err(said)?;
    millrace_plan::validate(&manifests[0], &[]).map_err(said)
}
