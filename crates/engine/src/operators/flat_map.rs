//! Any number of rows out for every row in.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int64Array, RecordBatch, UInt32Array};
use arrow::compute::{concat_batches, take};
use arrow::datatypes::DataType;
use millrace_plan::{Explode, Fields, SplitOutput};

use crate::batch::Batch;
use crate::expr::{Computed, is_true};
use crate::operators::map::Map;
use crate::operators::{Fallen, Survivors, record_batch};

/// The rows that came out, and for each the row that it was made from.
pub(crate) struct Flattened {
    pub(crate) batch: Batch,
    pub(crate) parents: UInt32Array,
}

/// One row for every item of the list, in order; none for an empty or missing list.
pub(crate) fn explode(spec: &Explode, output: &Fields, batch: &Batch) -> Flattened {
    let lists = batch.columns.column(spec.array).as_list::<i32>();
    let (mut parents, mut items, mut positions) = (Vec::new(), Vec::new(), Vec::new());
    for row in (0..lists.len()).filter(|row| lists.is_valid(*row)) {
        let (start, end) = (lists.value_offsets()[row], lists.value_offsets()[row + 1]);
        for item in start..end {
            parents.push(row as u32);
            items.push(item as u32);
            positions.push(i64::from(item - start));
        }
    }
    let parents = UInt32Array::from(parents);
    let items = take(lists.values(), &UInt32Array::from(items), None).expect("items lie within the list's values");
    let mut made = batch.take(&parents);
    let mut columns = Vec::with_capacity(output.len());
    for (position, column) in made.columns.columns().iter().enumerate() {
        if position != spec.array {
            columns.push(column.clone());
            continue;
        }
        if spec.position {
            columns.push(Arc::new(Int64Array::from(std::mem::take(&mut positions))) as ArrayRef);
        }
        columns.extend(item_columns(&items));
    }
    made.columns = record_batch(output, columns, parents.len());
    Flattened { batch: made, parents }
}

/// The item itself, or the fields of an item that is an object; a null object has null fields.
fn item_columns(items: &ArrayRef) -> Vec<ArrayRef> {
    match items.data_type() {
        DataType::Struct(_) => {
            let objects = items.as_struct();
            let field = |column: &ArrayRef| match objects.nulls() {
                None => column.clone(),
                Some(nulls) => arrow::compute::nullif(column, &arrow::array::BooleanArray::new(!nulls.inner(), None))
                    .expect("the mask is as long as the items"),
            };
            objects.columns().iter().map(field).collect()
        }
        _ => vec![items.clone()],
    }
}

/// One of several compiled outputs.
#[derive(Clone, Debug)]
pub(crate) struct Output {
    predicate: Option<Computed>,
    map: Map,
}

impl Output {
    pub(crate) fn compile(spec: &SplitOutput, input: &Fields, output: &Fields) -> Result<Self, String> {
        let predicate = spec
            .predicate
            .as_ref()
            .map(|predicate| Computed::compile(predicate, input))
            .transpose()?;
        Ok(Self {
            predicate,
            map: Map::compile(&spec.projection, input, output)?,
        })
    }
}

/// One row for every output whose predicate holds, row by row in the order of the outputs. A row on which anything fails
/// makes no row at all: its record goes to the dead letters whole.
pub(crate) fn split(outputs: &[Output], fields: &Fields, batch: &Batch, fallen: &mut Vec<Fallen>) -> Flattened {
    let mut fallen_here = Vec::new();
    let parts: Vec<(Batch, Vec<u32>)> = outputs
        .iter()
        .map(|output| apply_one(output, batch, &mut fallen_here))
        .collect();
    fallen_here.sort_by_key(|fall| fall.row);
    fallen_here.dedup_by_key(|fall| fall.row);

    // Rows of all outputs, put into the order of their parents.
    let mut order: Vec<(u32, u32)> = Vec::new();
    let mut at = 0;
    for (_, parents) in &parts {
        for parent in parents {
            if fallen_here
                .binary_search_by_key(&(*parent as usize), |fall| fall.row)
                .is_err()
            {
                order.push((*parent, at));
            }
            at += 1;
        }
    }
    order.sort_unstable();
    fallen.append(&mut fallen_here);

    let parents = UInt32Array::from_iter_values(order.iter().map(|(parent, _)| *parent));
    let rows = UInt32Array::from_iter_values(order.iter().map(|(_, row)| *row));
    let all: Vec<&RecordBatch> = parts.iter().map(|(part, _)| &part.columns).collect();
    let columns = concat_batches(fields.schema(), all).expect("all outputs have the same fields");
    let mut made = batch.take(&parents);
    made.columns = arrow::compute::take_record_batch(&columns, &rows).expect("rows lie within the outputs");
    Flattened { batch: made, parents }
}

fn apply_one(output: &Output, batch: &Batch, fallen: &mut Vec<Fallen>) -> (Batch, Vec<u32>) {
    let mut chosen: Vec<u32> = (0..batch.len() as u32).collect();
    let mut input = batch.clone();
    if let Some(predicate) = &output.predicate {
        let evaluated = predicate.evaluate(&batch.columns);
        Survivors::of(batch.len(), evaluated.failures, fallen);
        let mask = is_true(&evaluated.values);
        chosen = crate::batch::keep(&chosen, &mask);
        input = batch.filter(&mask);
    }
    let mut fallen_of_chosen = Vec::new();
    let (made, survivors) = output.map.apply(input, &mut fallen_of_chosen);
    fallen.extend(fallen_of_chosen.into_iter().map(|fall| Fallen {
        row: chosen[fall.row] as usize,
        ..fall
    }));
    if let Some(mask) = survivors.mask() {
        chosen = crate::batch::keep(&chosen, mask);
    }
    (made, chosen)
}
