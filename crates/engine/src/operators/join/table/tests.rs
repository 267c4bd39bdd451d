use arrow::array::{Int64Array, StringArray};
use millrace_plan::{Field, FieldType, TableFormat, TableOrigin};
use proptest::prelude::*;
use std::sync::Arc;

use super::*;

/// A table of `code`, `number`, `since`, `word`, keyed by the first two.
fn spec(by_time: bool, keeps_unmatched: bool) -> Join {
    let fields = vec![
        Field::computed("code", FieldType::String, false),
        Field::computed("number", FieldType::Int64, false),
        Field::computed("since", FieldType::Timestamp, false),
        Field::computed("word", FieldType::String, true),
    ];
    Join {
        table: Table {
            name: "words".to_owned(),
            origin: TableOrigin::File("words.csv".to_owned()),
            format: TableFormat::Csv,
            fields: Fields::new(fields),
            key: vec![0, 1],
            valid_from: by_time.then_some(2),
        },
        on: vec![1, 0],
        keeps_unmatched,
        fields: vec![3, 2],
    }
}

/// Rows of `number`, `code`.
fn input() -> Vec<Field> {
    vec![
        Field::computed("number", FieldType::Int64, true),
        Field::computed("code", FieldType::String, true),
    ]
}

fn join(spec: &Join, csv: &str) -> Result<TableJoin, String> {
    let mut output = input();
    output.push(Field::computed("word", FieldType::String, true));
    output.push(Field::computed("since", FieldType::Timestamp, true));
    TableJoin::new(spec, &Fields::new(output), csv.as_bytes())
}

type Row = (Option<i64>, Option<String>, i64);

fn batch(rows: &[Row]) -> Batch {
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from_iter(rows.iter().map(|row| row.0))),
        Arc::new(StringArray::from_iter(rows.iter().map(|row| row.1.as_deref()))),
    ];
    Batch {
        columns: record_batch(&Fields::new(input()), columns, rows.len()),
        origins: (0..rows.len() as u32).collect(),
        times: rows.iter().map(|row| row.2).collect(),
        watermarks: rows.iter().map(|row| row.2 - 1).collect(),
    }
}

/// What came out: which row, and the word and time that it found.
type Found = (u32, Option<String>, Option<i64>);

fn found(join: &TableJoin, rows: &[Row]) -> Vec<Found> {
    let picked = join.apply(&batch(rows));
    let words = picked.batch.columns.column(2).as_string::<i32>();
    let since = picked
        .batch
        .columns
        .column(3)
        .as_primitive::<TimestampMillisecondType>();
    let row = |(at, row): (usize, &u32)| {
        assert_eq!(picked.batch.origins[at], *row);
        assert_eq!(picked.batch.times[at], rows[*row as usize].2);
        let numbers = picked
            .batch
            .columns
            .column(0)
            .as_primitive::<arrow::datatypes::Int64Type>();
        assert_eq!(numbers.is_valid(at).then(|| numbers.value(at)), rows[*row as usize].0);
        (
            *row,
            words.is_valid(at).then(|| words.value(at).to_owned()),
            since.is_valid(at).then(|| since.value(at)),
        )
    };
    picked.rows.values().iter().enumerate().map(row).collect()
}

#[test]
fn a_key_that_stands_twice_is_refused_with_both_lines() {
    let csv = "code,number,since,word\na,1,0,x\nb,1,0,y\na,2,0,z\n\na,1,7,x\nb,1,0,x\na,1,9,x\n";
    let error = |by_time| join(&spec(by_time, false), csv).expect_err("keys stand there twice");
    assert_eq!(
        error(false),
        "table words (file words.csv): line 6: has the key of line 2; line 7: has the key of line 3; line 8: has the \
         key of line 2"
    );
    assert_eq!(
        error(true),
        "table words (file words.csv): line 7: has the key and the time of line 3"
    );
}

#[test]
fn a_bad_row_keeps_the_plan_from_running() {
    let csv = "code,number,since,word\na,1,0,x\nb,one,0,y\n";
    assert_eq!(
        join(&spec(false, false), csv).expect_err("a row is bad"),
        "table words (file words.csv): line 3: field `number`: expected int64, found string"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn every_row_finds_what_a_search_of_the_whole_table_finds(
        table in proptest::collection::btree_map(("[abc]", 0i64..3, -3i64..6), proptest::option::of("[xy]{1,2}"), 0..20),
        rows in proptest::collection::vec((proptest::option::of(0i64..4), proptest::option::of("[abcd]"), -4i64..8), 0..30),
        shuffle: u64, by_time: bool, keeps_unmatched: bool, cut: usize,
    ) {
        let mut lines: Vec<(String, i64, i64, Option<String>)> =
            table.into_iter().map(|((code, number, since), word)| (code, number, since, word)).collect();
        if !by_time {
            lines.dedup_by(|one, other| (&one.0, one.1) == (&other.0, other.1));
        }
        lines.sort_by_key(|line| (line.2 as u64 ^ line.1 as u64).wrapping_mul(shuffle | 1));
        let mut csv = "word,since,number,code\n".to_owned();
        for (code, number, since, word) in &lines {
            csv += &format!("{},{since},{number},{code}\n", word.as_deref().unwrap_or_default());
        }
        let join = join(&spec(by_time, keeps_unmatched), &csv).expect("the table is right");

        let mut expected: Vec<Found> = Vec::new();
        for (at, (number, code, time)) in rows.iter().enumerate() {
            let equal = lines.iter().filter(|line| Some(&line.0) == code.as_ref() && Some(line.1) == *number);
            let row = equal.filter(|line| !by_time || line.2 <= *time).max_by_key(|line| line.2);
            match row {
                Some((_, _, since, word)) => expected.push((at as u32, word.clone(), Some(*since))),
                None if keeps_unmatched => expected.push((at as u32, None, None)),
                None => {}
            }
        }
        prop_assert_eq!(found(&join, &rows), expected.clone());
        let (first, second) = rows.split_at(cut % (rows.len() + 1));
        let mut parts = found(&join, first);
        parts.extend(found(&join, second).into_iter().map(|(row, word, since)| (row + first.len() as u32, word, since)));
        prop_assert_eq!(parts, expected);
    }
}
