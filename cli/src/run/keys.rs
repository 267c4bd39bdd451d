//! Record keys for lines, which have none: made of the fields that the spec's `key` names.

use millrace_format::{Decoder, KeyEncoder, Record};
use millrace_plan::{EventTime, Fields, Plan, Table, TimeOrigin};

/// Makes keys.
pub struct Keys {
    parts: Option<(Decoder, KeyEncoder)>,
}

impl Keys {
    /// For the plan's key; without one, records have no keys.
    pub fn new(plan: &Plan) -> Self {
        let parts = plan.key.as_ref().map(|key| parts(&plan.input, &key.fields));
        Self { parts }
    }

    /// For records without keys.
    pub fn none() -> Self {
        Self { parts: None }
    }

    /// For the key of a table.
    pub fn of_table(table: &Table) -> Self {
        Self {
            parts: Some(parts(&table.fields, &table.key)),
        }
    }

    /// The key of each line; None where the line or its key fields cannot be read, which the engine will say again.
    pub fn of(&mut self, lines: &[Vec<u8>]) -> Vec<Option<Vec<u8>>> {
        let mut keys = vec![None; lines.len()];
        if let Some((decoder, encoder)) = &mut self.parts {
            let records: Vec<Record<'_>> = lines
                .iter()
                .map(|line| Record {
                    value: Some(line),
                    ..Record::default()
                })
                .collect();
            let decoded = decoder.decode(&records, &mut Vec::new());
            let bound = encoder.bind(&decoded.columns);
            for (row, origin) in decoded.origins.iter().enumerate() {
                let mut key = Vec::new();
                bound.write(row, &mut key);
                keys[*origin as usize] = Some(key);
            }
        }
        keys
    }
}

fn parts(fields: &Fields, key: &[usize]) -> (Decoder, KeyEncoder) {
    let fields = Fields::new(key.iter().map(|position| fields[*position].clone()).collect());
    let any_time = EventTime {
        origin: TimeOrigin::Record,
        ..EventTime::default()
    };
    let positions: Vec<usize> = (0..fields.len()).collect();
    (
        Decoder::json(&fields, None, any_time),
        KeyEncoder::new(&fields, &positions),
    )
}
