//! Two stages, several partitions each: rows that were combined before they changed partitions, rows that were not, and any
//! mix of both must give the same results, in the same order, late records included; and they must be those of a count
//! that knows neither stages nor batches.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use millrace_engine::{Chain, Effects, Input, Note, Program, Reason, Record};
use millrace_plan::{Plan, load, validate};

/// Partitions of the internal topic.
const BEHIND: usize = 2;
const SEEDS: u64 = 400;
/// Milliseconds.
const DELAY: i64 = 5;

/// A linear congruential generator, its upper half.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % end
    }
}

/// The window of a plan: its fields, its aggregates beside those of the model, and size and slide if the model knows it.
struct Variant {
    window: &'static str,
    more: &'static str,
    windows: Option<(i64, i64)>,
}

const VARIANTS: [Variant; 6] = [
    Variant {
        window: "tumbling: {size: 20ms}, keys: [g]",
        more: "{name: x_mean, function: avg, expression: v}, {name: x_d, function: sum, expression: d}",
        windows: Some((20, 20)),
    },
    Variant {
        window: "tumbling: {size: 30ms}, emit: {early: {every: 7ms}}, keys: [g]",
        more: "{name: x_q, function: max, expression: 100 / w}",
        windows: Some((30, 30)),
    },
    Variant {
        window: "sliding: {size: 40ms, slide: 10ms}, keys: [g]",
        more: "{name: x_d, function: avg, expression: d}, {name: x_s, function: min, expression: s}",
        windows: Some((40, 10)),
    },
    Variant {
        window: "sliding: {size: 25ms, slide: 10ms}, keys: [g]",
        more: "{name: x_first, function: first, expression: s}, {name: x_last, function: last, expression: d}",
        windows: Some((25, 10)),
    },
    Variant {
        window: "sliding: {size: 40ms, slide: 10ms}, emit: {early: {every: 6ms}}, keys: [s, g]",
        more: "{name: x_top, function: topN, expression: k, by: v, limit: 2}, {name: x_b, function: max, expression: v > 2}",
        windows: None,
    },
    Variant {
        window: "tumbling: {size: 50ms, offset: 3ms}, keys: [s]",
        more: "{name: x_a, function: approxCountDistinct, expression: k}, {name: x_c, function: count, expression: v, distinct: true},
               {name: x_p, function: approxPercentile, expression: f, percentile: 0.5}, {name: x_f, function: max, expression: f}",
        windows: None,
    },
];

/// The plan with rows combined, and without.
struct Programs {
    combining: Arc<Program>,
    plain: Arc<Program>,
}

impl Programs {
    fn of(variant: &Variant) -> Self {
        let [combining, plain] = ["", "lateRecords: {kafka: {topic: late}}"].map(|late| {
            let plan = plan(variant, late);
            assert_eq!(plan.combines(&plan.repartitions[0]).is_ok(), late.is_empty());
            Arc::new(Program::compile(Arc::new(plan)).unwrap())
        });
        Self { combining, plain }
    }
}

fn plan(variant: &Variant, late: &str) -> Plan {
    let Variant { window, more, .. } = variant;
    let text = format!(
        "
apiVersion: millrace.io/v1alpha1
kind: StreamPipeline
metadata: {{name: test}}
spec:
  source: {{kafka: {{bootstrapServers: ['b:9092'], topics: [in]}}}}
  schema:
    fields:
      - {{name: k, type: string}}
      - {{name: g, type: int64, nullable: true}}
      - {{name: s, type: string, nullable: true}}
      - {{name: v, type: int64, nullable: true}}
      - {{name: w, type: int64}}
      - {{name: d, type: decimal, precision: 10, scale: 2}}
      - {{name: f, type: float64}}
      - {{name: ts, type: int64}}
  key: [k]
  eventTime: {{field: ts, maxOutOfOrderness: {DELAY}ms}}
  {late}
  operators:
    - name: kept
      filter: {{where: w < 9}}
    - name: w
      window:
        {}
        aggregates: [
          {{name: n, function: count}}, {{name: total, function: sum, expression: v}},
          {{name: least, function: min, expression: v}}, {{name: most, function: max, expression: v}},
          {{name: kinds, function: countDistinct, expression: v}}, {{name: some, function: count, where: v > 5}}, {more}]
  sinks: [{{name: out, kafka: {{topic: out}}}}]
",
        window.replace(", emit", "\n        emit").replace(", keys", "\n        keys")
    );
    validate(&load(&text).unwrap()[0], &[]).unwrap()
}

#[derive(Clone, Debug)]
struct Row {
    k: usize,
    g: Option<i64>,
    v: Option<i64>,
    w: i64,
    ts: i64,
}

impl Row {
    fn json(&self) -> String {
        let Self { k, g, v, w, ts } = self;
        let text = |value: Option<i64>| value.map_or("null".to_owned(), |value| value.to_string());
        let s = g.map_or("null".to_owned(), |g| format!("\"s{}\"", g % 2));
        let (g, d) = (text(*g), w - 4);
        format!(
            r#"{{"k":"k{k}","g":{g},"s":{s},"v":{},"w":{w},"d":{d}.25,"f":{}.5,"ts":{ts}}}"#,
            text(*v),
            d * 3
        )
    }
}

/// What happens: records of a partition come in one step, or everything is committed.
enum Event {
    Step(usize, Vec<Row>),
    Commit,
}

struct Case {
    sources: usize,
    events: Vec<Event>,
}

fn case(random: &mut Random) -> Case {
    let sources = 1 + random.below(3);
    let (mut events, mut now) = (Vec::new(), 100);
    for _ in 0..4 + random.below(12) {
        now += random.below(12) as i64;
        if random.below(3) == 0 {
            events.push(Event::Commit);
            continue;
        }
        let disorder = [10, 80][random.below(2)];
        let row = |random: &mut Random| Row {
            k: random.below(4),
            g: Some(random.below(3) as i64).filter(|g| *g < 2),
            v: Some(random.below(12) as i64 - 3).filter(|v| *v < 8),
            w: random.below(10) as i64,
            ts: now - random.below(disorder) as i64,
        };
        let rows = (0..random.below(30)).map(|_| row(random)).collect();
        events.push(Event::Step(random.below(sources), rows));
    }
    events.push(Event::Commit);
    Case { sources, events }
}

/// How rows cross.
#[derive(Clone, Copy, PartialEq)]
enum Mode {
    Combined,
    OneByOne,
    /// Now so, now so, read by a plan that combines nothing itself.
    Mixed,
}

#[derive(Debug, Default, PartialEq)]
struct Outcome {
    /// For each partition behind, in order.
    results: Vec<Vec<String>>,
    late: u64,
    failed: u64,
}

#[derive(Clone)]
struct Stored {
    key: Option<Vec<u8>>,
    value: Vec<u8>,
    timestamp: i64,
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

struct World<'a> {
    programs: &'a Programs,
    mode: Mode,
    random: Random,
    /// For each source partition a chain that combines, and one that does not.
    before: Vec<[Chain; 2]>,
    behind: Vec<Chain>,
    uncommitted: Vec<Vec<Stored>>,
    outcome: Outcome,
    partials: usize,
    crossed: usize,
}

impl<'a> World<'a> {
    fn new(programs: &'a Programs, mode: Mode, sources: usize, seed: u64) -> Self {
        let chains = |_| [&programs.combining, &programs.plain].map(|program| Chain::new(Arc::clone(program)));
        let mut world = Self {
            programs,
            mode,
            random: Random(seed),
            before: (0..sources).map(chains).collect(),
            behind: Vec::new(),
            uncommitted: vec![Vec::new(); BEHIND],
            outcome: Outcome {
                results: vec![Vec::new(); BEHIND],
                ..Outcome::default()
            },
            partials: 0,
            crossed: 0,
        };
        world.behind = (0..BEHIND).map(|_| world.fresh()).collect();
        world
    }

    fn fresh(&self) -> Chain {
        let program = match self.mode {
            Mode::Combined => &self.programs.combining,
            Mode::OneByOne | Mode::Mixed => &self.programs.plain,
        };
        Chain::of_stage(Arc::clone(program), 1)
    }

    fn play(mut self, case: &Case) -> (Outcome, usize, usize) {
        for event in &case.events {
            match event {
                Event::Step(source, rows) => {
                    let values: Vec<String> = rows.iter().map(Row::json).collect();
                    let keys: Vec<String> = rows.iter().map(|row| format!("k{}", row.k)).collect();
                    let record = |at: usize| Record {
                        offset: at as i64,
                        timestamp: 0,
                        key: Some(keys[at].as_bytes()),
                        value: Some(values[at].as_bytes()),
                    };
                    let records: Vec<Record<'_>> = (0..rows.len()).map(record).collect();
                    self.step(*source, Input::Records(&records));
                }
                Event::Commit => self.commit(),
            }
        }
        (0..case.sources).for_each(|source| self.step(source, Input::End));
        self.commit();
        (self.outcome, self.partials, self.crossed)
    }

    fn step(&mut self, source: usize, input: Input<'_>) {
        let mut effects = [Effects::default(), Effects::default()];
        for (chain, effects) in self.before[source].iter_mut().zip(&mut effects) {
            chain.step(input, effects);
        }
        let which = match self.mode {
            Mode::Combined => 0,
            Mode::OneByOne => 1,
            Mode::Mixed => self.random.below(2),
        };
        let effects = &effects[which];
        for emit in &effects.emits {
            let bytes = |bytes| effects.resolve(bytes, |_| None).unwrap().to_vec();
            let (key, value) = (bytes(emit.key), bytes(emit.value));
            self.partials += usize::from(value[0] == b'p');
            self.crossed += 1;
            let partition = key.iter().map(|byte| usize::from(*byte)).sum::<usize>() % BEHIND;
            self.uncommitted[partition].push(Stored {
                key: Some(key),
                value,
                timestamp: emit.timestamp,
            });
        }
        self.count(effects);
    }

    fn count(&mut self, effects: &Effects) {
        for rejected in &effects.rejected {
            match rejected.reason {
                Reason::Late => self.outcome.late += rejected.rows,
                Reason::ExpressionFailed => self.outcome.failed += rejected.rows,
                other => unreachable!("{other:?}: {}", rejected.message),
            }
        }
    }

    /// Notes go behind the rows, and the next stage reads.
    fn commit(&mut self) {
        for (source, chains) in (0..).zip(&self.before) {
            let note = Note {
                from: ("in".to_owned(), source),
                of: self.before.len() as u32,
                watermark: chains[0].says().unwrap(),
                idle: false,
            };
            assert_eq!(chains[0].says(), chains[1].says());
            let note = Stored {
                key: None,
                value: note.encode(),
                timestamp: 0,
            };
            self.uncommitted.iter_mut().for_each(|log| log.push(note.clone()));
        }
        for partition in 0..BEHIND {
            let log = std::mem::take(&mut self.uncommitted[partition]);
            let mut rest = &log[..];
            while !rest.is_empty() {
                let (now, later) = rest.split_at(1 + self.random.below(rest.len()));
                rest = later;
                self.read(partition, now);
            }
        }
    }

    fn read(&mut self, partition: usize, stored: &[Stored]) {
        let records: Vec<Record<'_>> = stored.iter().map(Stored::record).collect();
        let mut effects = Effects::default();
        self.behind[partition].step(Input::Records(&records), &mut effects);
        for emit in &effects.emits {
            let text = |bytes| String::from_utf8(effects.resolve(bytes, |_| None).unwrap().to_vec()).unwrap();
            let line = format!("{}={}@{}", text(emit.key), text(emit.value), emit.timestamp);
            self.outcome.results[partition].push(line);
        }
        self.count(&effects);
        if self.random.below(4) == 0 {
            let mut next = self.fresh();
            let sections = self.behind[partition].save();
            assert_eq!(next.load(None, &sections), Ok(Vec::new()));
            assert!(next.save() == sections);
            self.behind[partition] = next;
        }
    }
}

/// Final results as a count of rows gives them, cut off where the aggregates begin that it does not know; and how many rows
/// are late.
fn expected(case: &Case, (size, slide): (i64, i64), fails: bool) -> (Vec<String>, u64) {
    let mut watermarks: Vec<Option<i64>> = vec![None; case.sources];
    let (mut told, mut late) = (i64::MIN, 0);
    let mut windows: BTreeMap<(i64, Option<i64>), Vec<&Row>> = BTreeMap::new();
    for event in &case.events {
        let Event::Step(source, rows) = event else {
            told = told.max(watermarks.iter().map(|time| time.unwrap_or(i64::MIN)).min().unwrap());
            continue;
        };
        for row in rows {
            let watermark = &mut watermarks[*source];
            *watermark = (*watermark).max(Some(row.ts - DELAY - 1));
            if row.w == 9 || (fails && row.w == 0) {
                continue;
            }
            let open: Vec<i64> = (-200..200)
                .map(|n| n * slide)
                .filter(|start| (*start..start + size).contains(&row.ts) && start + size - 1 > told)
                .collect();
            late += u64::from(open.is_empty());
            for start in open {
                windows.entry((start, row.g)).or_default().push(row);
            }
        }
    }
    let line = |((start, g), rows): ((i64, Option<i64>), Vec<&Row>)| {
        let text = |value: Option<i64>| value.map_or("null".to_owned(), |value| value.to_string());
        let values: Vec<i64> = rows.iter().filter_map(|row| row.v).collect();
        let total = Some(values.iter().sum()).filter(|_| !values.is_empty());
        let kinds = values.iter().collect::<BTreeSet<_>>().len();
        let some = values.iter().filter(|value| **value > 5).count();
        let (n, end, g, total) = (rows.len(), start + size, text(g), text(total));
        let (least, most) = (text(values.iter().min().copied()), text(values.iter().max().copied()));
        format!(
            "{g}={{\"g\":{g},\"window_start\":{start},\"window_end\":{end},\"is_final\":true,\"n\":{n},\"total\":{total},\
             \"least\":{least},\"most\":{most},\"kinds\":{kinds},\"some\":{some}"
        )
    };
    let mut lines: Vec<String> = windows.into_iter().map(line).collect();
    lines.sort();
    (lines, late)
}

/// The part of the final results that the model knows.
fn known(outcome: &Outcome) -> Vec<String> {
    let lines = outcome.results.iter().flatten();
    let is_final = lines.filter(|line| line.contains("\"is_final\":true"));
    let mut known: Vec<String> = is_final
        .map(|line| line.split(",\"x_").next().unwrap().to_owned())
        .collect();
    known.sort();
    known
}

#[test]
fn combined_rows_give_what_single_rows_and_a_plain_count_give() {
    let programs: Vec<Programs> = VARIANTS.iter().map(Programs::of).collect();
    let (mut late, mut failed, mut partials, mut crossed, mut results) = (0, 0, 0, [0; 2], 0);
    for seed in 0..SEEDS {
        let mut random = Random(seed);
        let which = random.below(VARIANTS.len());
        let (variant, programs) = (&VARIANTS[which], &programs[which]);
        let case = case(&mut random);
        let world = |mode, seed| World::new(programs, mode, case.sources, seed);
        let (combined, some, few) = world(Mode::Combined, seed).play(&case);
        let (single, none, many) = world(Mode::OneByOne, seed + 1).play(&case);
        let (mixed, ..) = world(Mode::Mixed, seed + 2).play(&case);
        assert_eq!(combined, single, "seed {seed}");
        assert_eq!(mixed, single, "seed {seed}, mixed");
        assert_eq!(none, 0);
        if let Some(windows) = variant.windows {
            let fails = variant.more.contains("100 / w");
            let model = expected(&case, windows, fails);
            assert_eq!((known(&combined), combined.late), model, "seed {seed}");
        }
        late += combined.late;
        failed += combined.failed;
        partials += some;
        crossed = [crossed[0] + few, crossed[1] + many];
        results += known(&combined).len();
    }
    // Or it was no test of this.
    assert!(
        late > 150 && failed > 100 && results > 3_000,
        "{late} {failed} {results}"
    );
    assert!(
        partials > 800 && crossed[0] < crossed[1] * 9 / 10,
        "{partials} {crossed:?}"
    );
}
