//! One partition and its owner: steps, commits, crashes. A commit makes effects and checkpoint permanent together, as a
//! Kafka transaction does; a crash takes back what was not committed, and the owner goes on from the last checkpoint.

use std::sync::Arc;

use millrace_engine::checkpoint::{Checkpoint, Identity};
use millrace_engine::{Chain, Effects, Input, Note, Program, Record};

use crate::Tell;
use crate::input::{Event, Stored};
use crate::observed::{Observed, shown};
use crate::random::Random;

/// How often an owner cuts, commits and crashes, in percent of its steps.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mood {
    /// Records in a step, at most.
    step: usize,
    commits: usize,
    crashes: usize,
}

impl Mood {
    /// Only cuts; a crash at every step behind a commit; anything.
    pub(crate) fn all(random: &mut Random) -> [Self; 3] {
        let step = |random: &mut Random| [1, 3, 10, 100][random.below(4)];
        [
            Self {
                step: step(random),
                commits: 0,
                crashes: 0,
            },
            Self {
                step: step(random),
                commits: 100,
                crashes: 100,
            },
            Self {
                step: step(random),
                commits: [10, 40, 80][random.below(3)],
                crashes: [10, 30, 60][random.below(3)],
            },
        ]
    }
}

/// What goes wrong on purpose, so that a test can see whether it is noticed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sabotage {
    /// Nothing.
    None,
    /// The state of one operator is not loaded.
    DropsASection,
    /// The watermark begins anew.
    ForgetsEventTime,
    /// The state is that of the checkpoint before the last one.
    LoadsOldState,
    /// One record is passed over.
    SkipsARecord,
    /// What was written and not committed stays.
    KeepsEffects,
}

impl Sabotage {
    /// All that must be noticed.
    pub const ALL: [Self; 5] = [
        Self::DropsASection,
        Self::ForgetsEventTime,
        Self::LoadsOldState,
        Self::SkipsARecord,
        Self::KeepsEffects,
    ];
}

/// What a world plays.
#[derive(Clone, Copy)]
pub(crate) struct Stage<'a> {
    pub(crate) program: &'a Arc<Program>,
    pub(crate) stage: usize,
    pub(crate) events: &'a [Event],
}

/// A partition and its owner.
pub(crate) struct World<'a, 't> {
    program: &'a Arc<Program>,
    stage: usize,
    /// Whether it is seen by what the next stage makes of its rows, since how they are combined depends on cuts.
    settles: bool,
    events: &'a [Event],
    /// What the next stage reads.
    written: Vec<Event>,
    tell: &'a mut Tell<'t>,
    chain: Chain,
    /// The next event.
    position: usize,
    /// Whether the end was told.
    ended: bool,
    pending: Observed,
    committed: Observed,
    /// The last two checkpoints, the newer one last.
    saved: Vec<Vec<u8>>,
    pub(crate) crashes: usize,
    pub(crate) undone: usize,
    pub(crate) checkpoints: usize,
}

impl<'a, 't> World<'a, 't> {
    pub(crate) fn new(Stage { program, stage, events }: Stage<'a>, tell: &'a mut Tell<'t>) -> Self {
        let combines = |cut| program.plan().combines(cut).is_ok();
        Self {
            chain: Chain::of_stage(Arc::clone(program), stage),
            settles: program.plan().repartitions.get(stage).is_some_and(combines),
            program,
            stage,
            events,
            written: Vec::new(),
            tell,
            position: 0,
            ended: false,
            pending: Observed::default(),
            committed: Observed::default(),
            saved: Vec::new(),
            crashes: 0,
            undone: 0,
            checkpoints: 0,
        }
    }

    /// The same, seen by what the next stage makes of its rows.
    pub(crate) fn settling(mut self) -> Self {
        self.settles = self.stage + 1 < self.program.plan().stages();
        self
    }

    /// Everything in as few steps as can be, without a commit before the end.
    pub(crate) fn whole(mut self) -> Observed {
        while !self.ended {
            self.step(usize::MAX);
        }
        let (program, stage) = (self.program, self.stage);
        self.pending.settled(program, stage).at(self.chain.newest_event_time())
    }

    /// What a run of this stage writes for the next one, with the time told now and then and at the end.
    pub(crate) fn written_for_the_next(mut self, random: &mut Random) -> Vec<Event> {
        while !self.ended {
            if let Some(Event::Clock(now)) = self.events.get(self.position) {
                self.written.push(Event::Clock(*now));
            }
            self.step(random.below(8) + 1);
            if let Some(watermark) = self.chain.says().filter(|_| self.ended || random.chance(40)) {
                let plan = self.program.plan();
                let writes = |stage: &usize| plan.cut_behind(*stage) == plan.cut_behind(self.stage);
                let note = Note {
                    from: (format!("stage-{}", self.stage), 0),
                    of: (0..plan.all_stages()).filter(writes).count() as u32,
                    watermark,
                    idle: false,
                };
                self.written.push(Event::Record(Stored {
                    timestamp: 0,
                    key: None,
                    value: Some(note.encode()),
                }));
            }
        }
        self.written
    }

    /// Cut, committed and crashed as the mood wants it. The error says which promise of the engine was broken.
    pub(crate) fn crashed(&mut self, mood: Mood, sabotage: Sabotage, random: &mut Random) -> Result<Observed, String> {
        // A broken restore must not make a run endless.
        let most = self.events.len() * 3;
        self.commit();
        while !self.ended {
            self.step(random.below(mood.step) + 1);
            if random.chance(10) {
                self.take(Input::Records(&[]), &[]);
            }
            let committed = random.chance(mood.commits);
            if committed {
                self.commit();
            }
            if !self.ended && self.crashes < most && random.chance(mood.crashes) {
                self.crash(sabotage, random)?;
            }
        }
        self.commit();
        let committed = std::mem::take(&mut self.committed).settled(self.program, self.stage);
        Ok(committed.at(self.chain.newest_event_time()))
    }

    /// Takes in at most `most` records, up to the next move of the clock; or that move; or the end.
    fn step(&mut self, most: usize) {
        let events = self.events;
        let rest = &events[self.position..];
        if rest.is_empty() {
            self.ended = true;
            return self.take(Input::End, &[]);
        }
        if let Event::Clock(now) = &rest[0] {
            self.position += 1;
            return self.take(Input::Clock(*now), &[]);
        }
        let stored = rest.iter().take(most).map_while(|event| match event {
            Event::Record(stored) => Some(stored),
            Event::Clock(_) => None,
        });
        let record = |(at, stored): (usize, &'a Stored)| stored.record((self.position + at) as i64);
        let records: Vec<Record<'_>> = stored.enumerate().map(record).collect();
        self.position += records.len();
        self.take(Input::Records(&records), &records);
    }

    fn take(&mut self, input: Input<'_>, records: &[Record<'_>]) {
        let mut effects = Effects::default();
        self.chain.step(input, &mut effects);
        let observed = match self.settles {
            true => Observed::of_rows(&effects, records, self.program.plan()),
            false => Observed::of(&effects, records, self.program.plan()),
        };
        let stored = |emit| Event::Record(Stored::of(emit, &effects, records));
        self.written.extend(effects.emits.iter().map(stored));
        if let Some(tell) = self.tell {
            match input {
                Input::Records(_) => tell(&format!("{} records up to {}", records.len(), self.position)),
                other => tell(&format!("{other:?}")),
            }
            for Record {
                offset,
                timestamp,
                key,
                value,
            } in records
            {
                let (key, value) = (shown(*key), shown(*value));
                tell(&format!("  < {offset} {key} = {value} at {timestamp}"));
            }
            observed.lines().for_each(|line| tell(&line));
        }
        self.pending.append(observed);
    }

    fn say(&mut self, what: &str) {
        if let Some(tell) = self.tell {
            tell(&format!("{what} {}", self.position));
        }
    }

    fn commit(&mut self) {
        let checkpoint = Checkpoint {
            identity: self.identity(),
            newest_event_time: self.chain.newest_event_time(),
            sections: self.chain.save(),
        };
        self.checkpoints += usize::from(!checkpoint.sections.is_empty());
        self.say("commit at");
        self.saved.push(checkpoint.encode());
        if self.saved.len() > 2 {
            self.saved.remove(0);
        }
        self.committed.append(std::mem::take(&mut self.pending));
    }

    fn identity(&self) -> Identity {
        Identity {
            state_id: "sim".to_owned(),
            cluster_id: "sim".to_owned(),
            topic: "in".to_owned(),
            partition: 0,
            offset: self.position as i64,
        }
    }

    fn crash(&mut self, sabotage: Sabotage, random: &mut Random) -> Result<(), String> {
        self.crashes += 1;
        let lost = std::mem::take(&mut self.pending);
        self.undone += usize::from(lost.results() + lost.rejected() > 0);
        if sabotage == Sabotage::KeepsEffects {
            self.committed.append(lost);
        }
        let bytes = self.saved.last().expect("every run begins with a checkpoint");
        let mut checkpoint =
            Checkpoint::decode(bytes).map_err(|error| format!("a checkpoint is unreadable: {error}"))?;
        self.position = checkpoint.identity.offset as usize;
        self.say("crash: back to");
        match sabotage {
            Sabotage::DropsASection if !checkpoint.sections.is_empty() => {
                checkpoint.sections.remove(random.below(checkpoint.sections.len()));
            }
            Sabotage::ForgetsEventTime => checkpoint.newest_event_time = None,
            Sabotage::LoadsOldState => {
                let older = Checkpoint::decode(&self.saved[0]).map_err(|error| error.to_string())?;
                checkpoint.sections = older.sections;
            }
            Sabotage::SkipsARecord => self.position = self.events.len().min(self.position + 1),
            _ => {}
        }
        self.chain = Chain::of_stage(Arc::clone(self.program), self.stage);
        let dropped = self
            .chain
            .load(checkpoint.newest_event_time, &checkpoint.sections)
            .map_err(|why| format!("a checkpoint of the same plan was refused: {why}"))?;
        if !dropped.is_empty() {
            return Err(format!("state of the same plan was thrown away: {dropped:?}"));
        }
        if sabotage == Sabotage::None && self.chain.save() != checkpoint.sections {
            return Err(format!(
                "state loaded at {} is not saved as the same bytes",
                self.position
            ));
        }
        self.tell_the_time();
        Ok(())
    }

    /// An owner that starts tells its chains what time it is before anything else.
    fn tell_the_time(&mut self) {
        let before = self.events[..self.position].iter();
        // Of two streams each has a clock of its own.
        let clocks = before.filter_map(|event| match event {
            Event::Clock(now) => Some(*now),
            Event::Record(_) => None,
        });
        if let Some(now) = clocks.max() {
            self.take(Input::Clock(now), &[]);
        }
    }
}
