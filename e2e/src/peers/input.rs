//! Records to play, the same every time.

use crate::peers::Record;

/// Linear congruential numbers: the same records every time.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: i64) -> i64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) % limit as u64) as i64
    }
}

/// Records that come up to `disorder` ms after newer ones.
pub fn records(seed: u64, count: usize, disorder: i64) -> Vec<Record> {
    let mut random = Random(seed);
    let mut now = 1_000_000;
    (0..count)
        .map(|_| {
            now += [0, 1, 7, 40][random.below(4) as usize];
            // Sometimes nothing comes for a while.
            now += if random.below(40) == 0 { 500 } else { 0 };
            Record {
                right: false,
                key: format!("k{}", random.below(4)),
                time: now - random.below(disorder + 1),
                value: (random.below(10) > 0).then(|| random.below(2000) - 1000),
            }
        })
        .collect()
}
