//! Simulated runs of the engine: a seed makes a manifest, an input, cuts and crashes. What is committed in the end must be
//! what one run without cuts and crashes gives. No clock, no I/O, no threads: the same seed plays the same run anywhere.
//!
//! Order of the modules = order in which a run comes to be. A new operator needs one entry in `operators.rs`, a new
//! function or type one in `expressions.rs`.

mod random;

mod expressions;

mod known;

mod operators;

mod manifest;

mod input;

mod observed;

mod world;

use std::fmt;

pub use world::Sabotage;

use crate::input::Event;
use crate::manifest::Made;
use crate::random::Random;
use crate::world::{Mood, Stage, World};

/// What a run without a difference has gone through: proof that it was a test.
#[derive(Clone, Debug, Default)]
pub struct Played {
    /// Kinds of operators in the plan, as `operators.rs` calls them.
    pub operators: Vec<&'static str>,
    /// Operators that the validator refused before the plan stood.
    pub refused: usize,
    /// Stages of the plan.
    pub stages: usize,
    /// Inputs, of all stages.
    pub events: usize,
    /// Results and rejected rows of the whole run.
    pub results: usize,
    /// Records that the whole run rejected.
    pub rejected: usize,
    /// Stages of plans that combine rows somewhere, played with and without.
    pub combined: usize,
    /// Crashes.
    pub crashes: usize,
    /// Crashes that undid effects which were not committed yet.
    pub undone: usize,
    /// Checkpoints that hold state of at least one operator.
    pub checkpoints: usize,
}

/// A seed whose committed effects were not those of the whole run.
#[derive(Clone, Debug)]
pub struct Failure {
    /// The seed.
    pub seed: u64,
    /// The manifest.
    pub manifest: String,
    /// What differed, or what went wrong.
    pub why: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, manifest, why } = self;
        write!(
            f,
            "seed {seed}: {why}\n\n{manifest}\nreplay it with `make sim SEED={seed}`"
        )
    }
}

/// Whom to tell what happens, line by line.
pub type Tell<'a> = Option<&'a mut dyn FnMut(&str)>;

/// One seed: everything that is random about a run.
pub struct Case {
    seed: u64,
    made: Made,
    events: Vec<Event>,
    random: Random,
}

impl Case {
    /// Makes plan and input.
    pub fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let made = manifest::make(&mut random);
        let events = input::make(&mut random, &made.shape);
        Self {
            seed,
            made,
            events,
            random,
        }
    }

    /// The manifest.
    pub fn manifest(&self) -> &str {
        &self.made.text
    }

    /// Plays each stage several times: whole, then cut and crashed in three moods. `tell`, if there is one, hears of every
    /// step.
    pub fn play(&self, sabotage: Sabotage, mut tell: Tell<'_>) -> Result<Played, Box<Failure>> {
        let fail = |why| {
            Box::new(Failure {
                seed: self.seed,
                manifest: self.made.text.clone(),
                why,
            })
        };
        let mut played = Played {
            operators: self.made.operators.clone(),
            refused: self.made.refused,
            stages: self.made.program.plan().stages(),
            ..Played::default()
        };
        let mut random = self.random.clone();
        let mut events = self.events.clone();
        for stage in 0..played.stages {
            let stage = Stage {
                program: &self.made.program,
                stage,
                events: &events,
            };
            tell.iter_mut()
                .for_each(|tell| tell(&format!("--- stage {}, the whole run", stage.stage)));
            let whole = World::new(stage, &mut tell).whole();
            played.events += events.len();
            played.results += whole.results();
            played.rejected += whole.rejected();
            if let Some(program) = &self.made.one_by_one {
                let combined = World::new(stage, &mut None).settling().whole();
                let plain = World::new(Stage { program, ..stage }, &mut None).settling().whole();
                if let Some(difference) = combined.other_results(&plain) {
                    return Err(fail(format!(
                        "{difference}\nin stage {}, combined and one by one",
                        stage.stage
                    )));
                }
                played.combined += 1;
            }
            for mood in Mood::all(&mut random) {
                tell.iter_mut()
                    .for_each(|tell| tell(&format!("--- stage {}, {mood:?}", stage.stage)));
                let mut world = World::new(stage, &mut tell);
                let found = world.crashed(mood, sabotage, &mut random).map_err(fail)?;
                if let Some(difference) = whole.difference(&found) {
                    return Err(fail(format!("{difference}\nin stage {}, {mood:?}", stage.stage)));
                }
                played.crashes += world.crashes;
                played.undone += world.undone;
                played.checkpoints += world.checkpoints;
            }
            // How often a stage tells the next one the time depends on its commits. So each is a partition of its own, whose
            // input was written once.
            events = World::new(stage, &mut None).written_for_the_next(&mut random);
        }
        Ok(played)
    }
}

/// Plays one seed in silence.
pub fn run(seed: u64, sabotage: Sabotage) -> Result<Played, Box<Failure>> {
    Case::new(seed).play(sabotage, None)
}

/// All sorts of operators that a plan may have.
pub fn sorts() -> impl Iterator<Item = &'static str> {
    operators::sorts().map(|(sort, ..)| *sort)
}

/// What could be played and is not, because the validator does not know it.
pub fn unknown() -> impl Iterator<Item = &'static str> {
    known::unknown()
}
