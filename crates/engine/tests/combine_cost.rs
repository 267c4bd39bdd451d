//! What rows cost on their way over an internal topic, combined and one by one, without a broker: CPU seconds of both stages
//! and bytes that cross. Run it with
//! `cargo test --release -p millrace-engine --test combine_cost -- --ignored --nocapture`.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::Write;
use std::sync::Arc;

use millrace_engine::{Chain, Effects, Input, Note, Program, Record};
use millrace_plan::{Plan, load, validate};

const ROUNDS: usize = 3;
const RECORDS: usize = 1_000_000;
/// Records of a step, as many as a full fetch of a partition has.
const STEP: usize = 4_000;
/// Steps between two commits.
const COMMIT: usize = 25;
const PARTITIONS: usize = 4;

fn plan(late: &str) -> Plan {
    let text = format!(
        "
apiVersion: millrace.io/v1alpha1
kind: StreamPipeline
metadata: {{name: destinations}}
spec:
  source: {{kafka: {{bootstrapServers: ['b:9092'], topics: [flights]}}}}
  schema:
    fields:
      - {{name: ts, type: int64}}
      - {{name: carrier, type: string}}
      - {{name: flight, type: int64}}
      - {{name: dest, type: string}}
      - {{name: dep_delay, type: int64, nullable: true}}
  key: [carrier]
  eventTime: {{field: ts, maxOutOfOrderness: 10m}}
  {late}
  operators:
    - name: hourly
      window:
        tumbling: {{size: 1h}}
        keys: [dest]
        aggregates:
          - {{name: flights, function: count}}
          - {{name: delay, function: sum, expression: dep_delay}}
          - {{name: mean, function: avg, expression: dep_delay}}
          - {{name: worst, function: max, expression: dep_delay}}
  sinks: [{{name: out, kafka: {{topic: destinations}}}}]
"
    );
    validate(&load(&text).unwrap()[0], &[]).unwrap()
}

/// Keys and values by partition, 10 ms of event time apart.
fn input(destinations: usize) -> Vec<Vec<(String, String)>> {
    let mut random = 1u64;
    let mut below = |end: usize| {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) as usize % end
    };
    let mut partitions = vec![Vec::new(); PARTITIONS];
    for at in 0..RECORDS {
        let (carrier, dest, delay) = (below(16), below(destinations), below(200) as i64 - 20);
        let ts = 1_357_034_400_000 + 10 * at;
        let value = format!(
            r#"{{"ts":{ts},"carrier":"C{carrier}","flight":{},"origin":"JFK","dest":"D{dest}","dep_delay":{delay}}}"#,
            at % 5_000
        );
        partitions[carrier % PARTITIONS].push((format!("C{carrier}"), value));
    }
    partitions
}

/// What one way costs.
#[derive(Debug, Default)]
struct Cost {
    stages: [f64; 2],
    records: usize,
    bytes: usize,
    results: usize,
}

struct Stored {
    key: Option<Vec<u8>>,
    value: Vec<u8>,
    timestamp: i64,
}

fn play(program: &Arc<Program>, input: &[Vec<(String, String)>]) -> Cost {
    let chains = |stage| (0..PARTITIONS).map(move |_| Chain::of_stage(Arc::clone(program), stage));
    let (mut before, mut behind): (Vec<Chain>, Vec<Chain>) = (chains(0).collect(), chains(1).collect());
    let (mut cost, mut effects) = (Cost::default(), Effects::default());
    let steps = input.iter().map(|records| records.len().div_ceil(STEP)).max().unwrap();
    let mut crossed: Vec<Vec<Stored>> = (0..PARTITIONS).map(|_| Vec::new()).collect();
    for at in 0..=steps {
        for (chain, records) in before.iter_mut().zip(input) {
            let records: Vec<Record<'_>> = records.iter().skip(at * STEP).take(STEP).map(record).collect();
            effects.clear();
            let start = cpu();
            match at < steps {
                true => chain.step(Input::Records(&records), &mut effects),
                false => chain.step(Input::End, &mut effects),
            }
            cost.stages[0] += cpu() - start;
            for emit in &effects.emits {
                let bytes = |bytes| effects.resolve(bytes, |_| None).unwrap().to_vec();
                let (key, value) = (bytes(emit.key), bytes(emit.value));
                cost.records += 1;
                cost.bytes += key.len() + value.len();
                let partition = key.iter().map(|byte| usize::from(*byte)).sum::<usize>() % PARTITIONS;
                crossed[partition].push(Stored {
                    key: Some(key),
                    value,
                    timestamp: emit.timestamp,
                });
            }
        }
        if at % COMMIT == COMMIT - 1 || at == steps {
            commit(&before, &mut crossed);
            for (chain, log) in behind.iter_mut().zip(&mut crossed) {
                let records: Vec<Record<'_>> = log.iter().map(Stored::record).collect();
                let start = cpu();
                for step in records.chunks(STEP) {
                    effects.clear();
                    chain.step(Input::Records(step), &mut effects);
                    cost.results += effects.emits.len();
                    assert!(effects.rejected.is_empty());
                }
                cost.stages[1] += cpu() - start;
                log.clear();
            }
        }
    }
    cost
}

fn commit(before: &[Chain], crossed: &mut [Vec<Stored>]) {
    for (number, chain) in (0..).zip(before) {
        let note = Note {
            from: ("in".to_owned(), number),
            of: PARTITIONS as u32,
            watermark: chain.says().unwrap(),
            idle: false,
        };
        for log in &mut *crossed {
            log.push(Stored {
                key: None,
                value: note.encode(),
                timestamp: 0,
            });
        }
    }
}

fn record((key, value): &(String, String)) -> Record<'_> {
    Record {
        offset: 0,
        timestamp: 0,
        key: Some(key.as_bytes()),
        value: Some(value.as_bytes()),
    }
}

impl Stored {
    fn record(&self) -> Record<'_> {
        Record {
            offset: 0,
            timestamp: self.timestamp,
            key: self.key.as_deref(),
            value: Some(&self.value),
        }
    }
}

/// CPU seconds of this thread so far, as the kernel counts them: others may use the machine.
fn cpu() -> f64 {
    let counted = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    counted.split(' ').next().unwrap().parse::<f64>().unwrap() / 1e9
}

#[test]
#[ignore = "it measures"]
fn rows_that_cross_combined_and_one_by_one() {
    let mut out = std::io::stdout();
    let line = "| destinations | rows cross | stage 1 | stage 2 | records | MB |";
    writeln!(out, "{line}\n|---|---|---|---|---|---|").unwrap();
    for destinations in [100, 1_000, 10_000] {
        let input = input(destinations);
        let ways = ["lateRecords: {kafka: {topic: late}}", ""].map(|late| {
            let program = Program::compile(Arc::new(plan(late))).unwrap();
            Arc::new(program)
        });
        // In turn, so that what else the machine does hits both; the least of each is what it costs.
        let rounds: Vec<[Cost; 2]> = (0..ROUNDS)
            .map(|_| [0, 1].map(|way: usize| play(&ways[way], &input)))
            .collect();
        for (way, how) in ["one by one", "combined"].into_iter().enumerate() {
            let least = |stage: usize| {
                rounds
                    .iter()
                    .map(|costs| costs[way].stages[stage])
                    .fold(f64::MAX, f64::min)
            };
            let Cost { records, bytes, .. } = rounds[0][way];
            let (one, two, megabytes) = (least(0), least(1), bytes as f64 / 1e6);
            writeln!(
                out,
                "| {destinations} | {how} | {one:.2} | {two:.2} | {records} | {megabytes:.1} |"
            )
            .unwrap();
        }
        assert!(
            rounds
                .iter()
                .all(|[single, combined]| single.results == combined.results)
        );
    }
}
