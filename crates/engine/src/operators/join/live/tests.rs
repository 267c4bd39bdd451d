use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Int64Array, StringArray};
use millrace_plan::{Field, Fields, TableFormat, TableOrigin, TopicName};
use proptest::prelude::*;

use super::*;
use crate::batch::Batch;
use crate::operators::join::TableJoin;
use crate::operators::record_batch;

/// A table of `code`, `number`, `since`, `word`, keyed by the first two.
fn spec(by_time: bool) -> Join {
    let field = |name: &str, field_type| Field {
        path: vec![name.to_owned()],
        ..Field::computed(name, field_type, name == "word")
    };
    let fields = vec![
        field("code", FieldType::String),
        field("number", FieldType::Int64),
        field("since", FieldType::Timestamp),
        field("word", FieldType::String),
    ];
    Join {
        table: Table {
            name: "words".to_owned(),
            origin: TableOrigin::Topic(TopicName::parse("words").unwrap()),
            format: TableFormat::JsonLines,
            fields: Fields::new(fields),
            key: vec![0, 1],
            valid_from: by_time.then_some(2),
        },
        on: vec![0, 1],
        keeps_unmatched: true,
        fields: vec![3],
    }
}

fn join(by_time: bool) -> TableJoin {
    let output = vec![
        Field::computed("code", FieldType::String, false),
        Field::computed("number", FieldType::Int64, false),
        Field::computed("word", FieldType::String, true),
    ];
    TableJoin::live(&spec(by_time), &Fields::new(output))
}

/// What one record of the topic does: a row with a time and a word, or, without, a deletion.
#[derive(Clone, Debug)]
struct Change {
    key: u8,
    row: Option<(i64, Option<u16>)>,
}

impl Change {
    fn texts(&self) -> (String, Option<String>) {
        let Self { key, row } = self;
        let value = row.map(|(since, word)| {
            let word = word.map_or("null".to_owned(), |word| format!("\"{word}\""));
            format!(
                r#"{{"code":"c{}","number":{key},"since":{since},"word":{word}}}"#,
                key % 2
            )
        });
        (format!(r#"{{"code":"c{}","number":{key}}}"#, key % 2), value)
    }
}

fn apply(join: &TableJoin, changes: &[Change]) -> Vec<Refused> {
    let texts: Vec<(String, Option<String>)> = changes.iter().map(Change::texts).collect();
    let records: Vec<Record<'_>> = texts
        .iter()
        .map(|(key, value)| Record {
            key: Some(key.as_bytes()),
            value: value.as_deref().map(str::as_bytes),
            ..Record::default()
        })
        .collect();
    join.changing().unwrap().change(&records).unwrap()
}

/// The word that each key finds at a time; the outer None: no row.
fn words(join: &TableJoin, keys: u8, time: i64) -> Vec<Option<String>> {
    let input = vec![
        Field::computed("code", FieldType::String, false),
        Field::computed("number", FieldType::Int64, false),
    ];
    let columns: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from_iter_values(
            (0..keys).map(|key| format!("c{}", key % 2)),
        )),
        Arc::new(Int64Array::from_iter_values((0..keys).map(i64::from))),
    ];
    let rows = usize::from(keys);
    let batch = Batch {
        columns: record_batch(&Fields::new(input), columns, rows),
        origins: (0..u32::from(keys)).collect(),
        times: vec![time; rows],
        watermarks: vec![time; rows],
    };
    let picked = join.apply(&batch);
    let words = picked.batch.columns.column(2).as_string::<i32>();
    words.iter().map(|word| word.map(str::to_owned)).collect()
}

/// The rows as a person would keep them: of each key the words by time.
type Model = BTreeMap<u8, BTreeMap<i64, Option<u16>>>;

fn note(model: &mut Model, change: &Change, by_time: bool) {
    let of_key = model.entry(change.key).or_default();
    match change.row {
        None => of_key.clear(),
        Some((since, word)) => {
            if !by_time {
                of_key.clear();
            }
            of_key.insert(since, word);
        }
    }
}

fn expected(model: &Model, key: u8, time: i64, by_time: bool) -> Option<String> {
    let of_key = model.get(&key)?;
    let row = match by_time {
        true => of_key.range(..=time).next_back(),
        false => of_key.iter().next_back(),
    };
    row?.1.map(|word| word.to_string())
}

const KEYS: u8 = 6;

fn changes() -> impl Strategy<Value = Vec<Change>> {
    let row = proptest::option::weighted(0.8, (0_i64..8, proptest::option::weighted(0.9, any::<u16>())));
    proptest::collection::vec((0..KEYS, row).prop_map(|(key, row)| Change { key, row }), 0..120)
}

proptest! {
    #[test]
    fn a_record_finds_what_the_changes_before_it_left(
        changes in changes(),
        cuts in proptest::collection::vec(1_usize..20, 1..40),
        by_time in any::<bool>(),
        time in 0_i64..9,
    ) {
        let join = join(by_time);
        let mut model = Model::new();
        let mut left = &changes[..];
        for cut in cuts.iter().cycle() {
            let (now, later) = left.split_at((*cut).min(left.len()));
            prop_assert_eq!(apply(&join, now), vec![]);
            now.iter().for_each(|change| note(&mut model, change, by_time));
            let wanted: Vec<_> = (0..KEYS).map(|key| expected(&model, key, time, by_time)).collect();
            prop_assert_eq!(words(&join, KEYS, time), wanted);
            let rows: usize = model.values().map(BTreeMap::len).sum();
            prop_assert_eq!(join.changing().unwrap().len(), rows);
            left = later;
            if left.is_empty() {
                break;
            }
        }
    }
}

#[test]
fn outdated_rows_do_not_pile_up() {
    for by_time in [false, true] {
        let join = join(by_time);
        for round in 0..600_u16 {
            let changes: Vec<Change> = (0..200)
                .map(|key| Change {
                    key,
                    row: Some((0, Some(round))),
                })
                .collect();
            apply(&join, &changes);
        }
        let table = join.changing().unwrap();
        let (numbered, parts) = (table.rows.numbered, table.rows.parts.len());
        assert!(numbered <= 2 * 200 + SPARE + 200, "{numbered} rows of 120000 stay");
        assert!(parts < 32, "{parts} parts");
        assert_eq!(table.len(), 200);
        drop(table);
        assert_eq!(words(&join, 200, 5), vec![Some("599".to_owned()); 200]);
    }
}

#[test]
fn a_table_that_is_cleared_is_empty() {
    let join = join(false);
    let row = Change {
        key: 1,
        row: Some((0, Some(7))),
    };
    apply(&join, std::slice::from_ref(&row));
    join.changing().unwrap().clear();
    assert_eq!(words(&join, 2, 0), [None, None]);
    apply(&join, &[row]);
    assert_eq!(words(&join, 2, 0), [None, Some("7".to_owned())]);
}

#[test]
fn what_fits_no_row_changes_nothing_and_is_told() {
    let join = join(false);
    let records = [
        Record {
            key: Some(br#"{"code":"c1","number":1}"#),
            value: Some(br#"{"code":"c1","number":1,"since":0,"word":"x"}"#),
            ..Record::default()
        },
        Record {
            key: Some(br#"{"code":"c1","number":1}"#),
            value: Some(br#"{"code":"c1","number":"1"}"#),
            ..Record::default()
        },
    ];
    let refused = join.changing().unwrap().change(&records).unwrap();
    assert_eq!(refused.iter().map(|of| of.input).collect::<Vec<_>>(), [1]);
    assert_eq!(words(&join, 2, 0), [None, Some("x".to_owned())]);
}
