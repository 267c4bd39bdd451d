use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Int64Array, StringArray};
use arrow::datatypes::Int64Type;

use super::*;

fn intern(keys: &mut Keys, columns: &[ArrayRef]) -> Vec<u32> {
    let views: Vec<_> = columns.iter().map(View::of).collect();
    let mut groups = Vec::new();
    keys.intern_all(&views, 0..columns[0].len(), &mut groups);
    for (row, group) in groups.iter().enumerate() {
        assert_eq!(keys.find(&views, row), Some(*group));
    }
    groups
}

/// Saves, loads, saves again: the bytes and the answers must be the same.
fn reloaded(keys: &Keys) -> Keys {
    let (mut first, mut second) = (Vec::new(), Vec::new());
    keys.save(&mut first);
    let loaded = Keys::load(keys.types.clone(), &mut Reader::new(&first)).expect("it was saved");
    loaded.save(&mut second);
    assert_eq!(first, second);
    for end in 0..first.len() {
        assert!(
            Keys::load(keys.types.clone(), &mut Reader::new(&first[..end])).is_err(),
            "cut at {end}"
        );
    }
    loaded
}

#[test]
fn whole_and_null_keys_are_numbered_by_first_arrival() {
    let mut keys = Keys::new(vec![FieldType::Int64]);
    let column: ArrayRef = Arc::new(Int64Array::from(vec![Some(7), None, Some(0), Some(7), None, Some(-1)]));
    assert_eq!(intern(&mut keys, std::slice::from_ref(&column)), [0, 1, 2, 0, 1, 3]);
    let mut out = [ColumnBuilder::new(&FieldType::Int64, 4)];
    reloaded(&keys).append(0..4, &mut out);
    let out = out[0].finish();
    assert_eq!(
        out.as_primitive::<Int64Type>(),
        &Int64Array::from(vec![Some(7), None, Some(0), Some(-1)])
    );
    keys.clear();
    assert_eq!(keys.len(), 0);
    assert_eq!(intern(&mut keys, &[column]), [0, 1, 2, 0, 1, 3]);
}

#[test]
fn empty_text_and_null_are_two_keys() {
    let mut keys = Keys::new(vec![FieldType::String]);
    let column: ArrayRef = Arc::new(StringArray::from(vec![Some(""), None, Some("é"), Some(""), None]));
    assert_eq!(intern(&mut keys, &[column]), [0, 1, 2, 0, 1]);
    let mut out = [ColumnBuilder::new(&FieldType::String, 3)];
    reloaded(&keys).append(0..3, &mut out);
    let out = out[0].finish();
    assert_eq!(
        out.as_string::<i32>(),
        &StringArray::from(vec![Some(""), None, Some("é")])
    );
}

#[test]
fn rows_of_several_texts_do_not_run_into_each_other() {
    let mut keys = Keys::new(vec![FieldType::String, FieldType::String, FieldType::Boolean]);
    let left: ArrayRef = Arc::new(StringArray::from(vec![
        Some("ab"),
        Some("a"),
        None,
        Some(""),
        Some("ab"),
    ]));
    let right: ArrayRef = Arc::new(StringArray::from(vec![
        Some("c"),
        Some("bc"),
        Some(""),
        None,
        Some("c"),
    ]));
    let flag: ArrayRef = Arc::new(BooleanArray::from(vec![true; 5]));
    assert_eq!(intern(&mut keys, &[left, right, flag]), [0, 1, 2, 3, 0]);
    let mut out: Vec<_> = keys.types.iter().map(|key| ColumnBuilder::new(key, 4)).collect();
    reloaded(&keys).append(0..4, &mut out);
    let left = out[0].finish();
    assert_eq!(
        left.as_string::<i32>(),
        &StringArray::from(vec![Some("ab"), Some("a"), None, Some("")])
    );
}

#[test]
fn merged_keys_are_found_or_follow() {
    let types = vec![FieldType::Int64];
    let (mut left, mut right) = (Keys::new(types.clone()), Keys::new(types));
    intern(&mut left, &[Arc::new(Int64Array::from(vec![Some(1), Some(2)]))]);
    intern(&mut right, &[Arc::new(Int64Array::from(vec![None, Some(2), Some(3)]))]);
    assert_eq!(left.merge(&right), [2, 1, 3]);
    assert_eq!(left.merge(&right), [2, 1, 3]);
    assert_eq!(left.len(), 4);
}

#[test]
fn many_keys_keep_their_numbers_while_the_table_grows() {
    let mut keys = Keys::new(vec![FieldType::Int64]);
    let column: ArrayRef = Arc::new(Int64Array::from_iter_values(
        (0..50_000).map(|n: i64| n.wrapping_mul(n) << 20),
    ));
    let first = intern(&mut keys, std::slice::from_ref(&column));
    assert_eq!(intern(&mut keys, &[column]), first);
    assert_eq!(first, (0..50_000).collect::<Vec<u32>>());
}

#[test]
fn a_key_that_stands_there_twice_is_refused() {
    let mut bytes = Vec::new();
    codec::put_length(&mut bytes, 2);
    codec::put_length(&mut bytes, 0);
    5i64.put(&mut bytes);
    5i64.put(&mut bytes);
    let loaded = Keys::load(vec![FieldType::Int64], &mut Reader::new(&bytes));
    assert_eq!(loaded.err(), Some(CodecError::Invalid("a key stands there twice")));
}
