use std::time::UNIX_EPOCH;

use proptest::prelude::*;

use super::*;

const LIFETIME: Duration = Duration::from_secs(86_400);

/// A cluster with two objects that hold a bundle each, somebody who carries out the steps, and two clocks.
struct World {
    rotation: Rotation<()>,
    bundles: Vec<Bundle>,
    wall: SystemTime,
    running: Duration,
    made: u32,
    /// Running time since which each authority has been in all bundles.
    known: Vec<(Authority, Duration)>,
}

impl World {
    fn new() -> Self {
        Self {
            rotation: Rotation::new(Timing::of(LIFETIME)),
            bundles: vec![Bundle::default(); 2],
            wall: UNIX_EPOCH + Duration::from_secs(1_700_000_000),
            running: Duration::ZERO,
            made: 0,
            known: Vec::new(),
        }
    }

    fn step(&mut self) -> Step {
        let now = Now {
            wall: self.wall,
            running: self.running,
        };
        self.rotation.step(now, &self.bundles.iter().collect::<Vec<_>>())
    }

    /// Carries out steps until there is a pause, as long as the API server lets it; returns the pause.
    fn work(&mut self, writable: &[bool]) -> Duration {
        for _ in 0..10 {
            match self.step() {
                Step::Make => {
                    self.made += 1;
                    let validity = Validity::from(self.wall, LIFETIME);
                    let authority = Authority::fake(self.made, validity.until);
                    self.rotation.made(Generation {
                        authority,
                        validity,
                        key: (),
                    });
                }
                Step::Publish => {
                    for (bundle, _) in self.bundles.iter_mut().zip(writable).filter(|(_, writable)| **writable) {
                        *bundle = bundle.with(self.rotation.needed(), self.wall);
                    }
                    if writable.contains(&false) {
                        return Duration::from_secs(1);
                    }
                }
                Step::Serve => {}
                Step::Wait(pause) => return pause,
            }
            self.remember();
        }
        panic!("no pause after ten steps");
    }

    fn remember(&mut self) {
        let bundles = &self.bundles;
        self.known
            .retain(|(authority, _)| bundles.iter().all(|bundle| bundle.holds(authority)));
        for authority in self.rotation.needed() {
            let in_all = self.bundles.iter().all(|bundle| bundle.holds(authority));
            if in_all && !self.known.iter().any(|(known, _)| known == authority) {
                self.known.push((authority.clone(), self.running));
            }
        }
    }

    fn pass(&mut self, time: Duration) {
        self.wall += time;
        self.running += time;
    }

    fn reset(&mut self, number: usize) {
        self.bundles[number] = Bundle::default();
        self.remember();
    }

    fn serves_what_is_trusted_and_valid(&self) -> bool {
        self.rotation.serving().is_some_and(|serving| {
            serving.validity.holds(self.wall) && self.bundles.iter().all(|bundle| bundle.holds(&serving.authority))
        })
    }
}

const WRITABLE: &[bool] = &[true, true];

#[test]
fn a_day_long_certificate_is_renewed_every_twelve_hours_and_never_served_before_it_is_known() {
    let mut world = World::new();
    let mut renewals = Vec::new();
    let mut served = None;
    while world.running < LIFETIME * 2 {
        let pause = world.work(WRITABLE);
        let serving = world.rotation.serving().unwrap().authority.clone();
        if served.as_ref() != Some(&serving) {
            let known = world.known.iter().find(|(known, _)| *known == serving).unwrap();
            renewals.push((world.running.as_secs() / 3_600, world.running - known.1));
            served = Some(serving);
        }
        assert!(world.serves_what_is_trusted_and_valid(), "after {:?}", world.running);
        world.pass(pause);
    }
    let hours: Vec<_> = renewals.iter().map(|(hour, _)| *hour).collect();
    assert_eq!(hours, [0, 12, 24, 36]);
    assert!(
        renewals[1..].iter().all(|(_, known)| *known >= Duration::from_secs(15)),
        "{renewals:?}"
    );
    // The first one, the one in use and the next: what expired went.
    assert!(world.bundles[0].to_pem().len() <= 3);
}

#[test]
fn the_clock_jumping_a_week_ahead_or_back_costs_one_look() {
    for jump in [7 * 86_400, -7 * 86_400_i64] {
        let mut world = World::new();
        world.work(WRITABLE);
        let days = Duration::from_secs(jump.unsigned_abs());
        world.wall = if jump > 0 { world.wall + days } else { world.wall - days };
        assert!(
            !world.serves_what_is_trusted_and_valid(),
            "the jump made the certificate invalid"
        );
        world.work(WRITABLE);
        assert!(world.serves_what_is_trusted_and_valid(), "jump of {jump} s");
    }
}

#[test]
fn a_bundle_that_somebody_reset_is_filled_at_the_next_look() {
    let mut world = World::new();
    world.work(WRITABLE);
    world.reset(1);
    assert!(!world.serves_what_is_trusted_and_valid());
    assert_eq!(world.step(), Step::Publish);
    world.work(WRITABLE);
    assert!(world.serves_what_is_trusted_and_valid());
}

#[test]
fn a_bundle_that_cannot_be_written_does_not_stop_the_other_one() {
    let mut world = World::new();
    world.work(&[true, false]);
    world.pass(Duration::from_secs(1));
    while world.running < LIFETIME * 3 {
        let pause = world.work(&[true, false]);
        let serving = world.rotation.serving().unwrap();
        assert!(serving.validity.holds(world.wall) && world.bundles[0].holds(&serving.authority));
        world.pass(pause);
        assert!(
            world.rotation.serving().unwrap().validity.holds(world.wall),
            "after {:?}",
            world.running
        );
    }
    assert!(world.made > 3, "it was renewed");
}

#[derive(Clone, Debug)]
enum Event {
    /// Nobody looks for so many seconds, then somebody does.
    Pass(u64),
    /// Writing is refused, for so many seconds.
    Refused(u64, [bool; 2]),
    /// Somebody empties a bundle, and the next look comes.
    Reset(usize),
    /// The wall clock is set by so many seconds.
    Shift(i64),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => (1_u64..7_200).prop_map(Event::Pass),
        2 => (1_u64..3_600, any::<[bool; 2]>()).prop_map(|(time, writable)| Event::Refused(time, writable)),
        1 => (0_usize..2).prop_map(Event::Reset),
        1 => (-290_i64..290).prop_map(Event::Shift),
    ]
}

proptest! {
    #[test]
    fn what_is_served_is_always_valid_and_signed_by_a_published_authority(
        events in prop::collection::vec(event(), 1..200)
    ) {
        let mut world = World::new();
        world.work(WRITABLE);
        let mut shifted = 0_i64;
        for event in events {
            match event {
                Event::Pass(time) => world.pass(Duration::from_secs(time)),
                Event::Refused(time, writable) => {
                    world.work(&writable);
                    world.pass(Duration::from_secs(time));
                    prop_assert!(world.serves_what_is_trusted_and_valid(), "while writing is refused");
                }
                Event::Reset(number) => world.reset(number),
                // Set forth and back, never further back in all than a certificate tolerates.
                Event::Shift(by) if (0..290).contains(&(shifted + by)) => {
                    shifted += by;
                    let time = Duration::from_secs(by.unsigned_abs());
                    world.wall = if by < 0 { world.wall - time } else { world.wall + time };
                }
                Event::Shift(_) => {}
            }
            if !matches!(event, Event::Reset(_)) {
                prop_assert!(world.serves_what_is_trusted_and_valid(), "before the look, after {event:?}");
            }
            world.work(WRITABLE);
            prop_assert!(world.serves_what_is_trusted_and_valid(), "after the look, after {event:?}");
        }
    }

    #[test]
    fn a_certificate_is_served_only_after_its_authority_was_known_for_a_while(
        pauses in prop::collection::vec(1_u64..20_000, 1..100)
    ) {
        let mut world = World::new();
        world.work(WRITABLE);
        for pause in pauses {
            let before = world.rotation.serving().unwrap().authority.clone();
            world.work(WRITABLE);
            let serving = world.rotation.serving().unwrap().authority.clone();
            if serving != before {
                let (_, since) = world.known.iter().find(|(known, _)| *known == serving).unwrap();
                prop_assert!(world.running - *since >= Duration::from_secs(15));
            }
            world.pass(Duration::from_secs(pause));
        }
    }
}
