//! Producers by transactional id: opening one fences the last and ends its transaction.

use super::log::TransactionId;
use super::{State, TopicPartition};
use crate::Committed;
use std::collections::{BTreeMap, BTreeSet};

/// How a commit ends that was told to fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommitOutcome {
    /// The producer cannot know, and the transaction is still open: it is aborted when its id is opened again, or by
    /// [`expire_transactions`](super::Broker::expire_transactions). Until then the group's offsets are unstable.
    BeforeIndefinite,
    /// The producer cannot know, and the transaction is committed.
    AfterIndefinite,
    /// The transaction is aborted, and the producer knows it.
    Aborted,
}

#[derive(Debug, Default)]
pub(super) struct Transactions {
    next: TransactionId,
    producers: BTreeMap<String, Owner>,
}

#[derive(Debug, Default)]
struct Owner {
    epoch: u32,
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    id: TransactionId,
    partitions: BTreeSet<TopicPartition>,
    offsets: Vec<(String, TopicPartition, Committed)>,
}

impl State {
    /// Takes over a transactional id and returns its new epoch.
    pub(super) fn open_producer(&mut self, name: &str) -> u32 {
        self.end_open(name, false);
        let owner = self.transactions.producers.entry(name.to_owned()).or_default();
        owner.epoch += 1;
        owner.epoch
    }

    /// Whether `epoch` is still the newest of `name`.
    pub(super) fn is_current(&self, name: &str, epoch: u32) -> bool {
        self.transactions
            .producers
            .get(name)
            .is_some_and(|owner| owner.epoch == epoch)
    }

    /// The open transaction of `name`, begun if there is none.
    pub(super) fn transaction(&mut self, name: &str) -> TransactionId {
        let transactions = &mut self.transactions;
        let owner = transactions.producers.entry(name.to_owned()).or_default();
        let open = owner.open.get_or_insert_with(|| {
            transactions.next += 1;
            Open {
                id: transactions.next,
                partitions: BTreeSet::new(),
                offsets: Vec::new(),
            }
        });
        open.id
    }

    pub(super) fn add_partition(&mut self, name: &str, partition: (&str, i32)) {
        if let Some(open) = self.open_mut(name) {
            let partition = (partition.0.to_owned(), partition.1);
            open.partitions.insert(partition);
        }
    }

    pub(super) fn add_offsets(&mut self, name: &str, group: &str, offsets: Vec<(TopicPartition, Committed)>) {
        if let Some(open) = self.open_mut(name) {
            open.offsets.extend(
                offsets
                    .into_iter()
                    .map(|(partition, offset)| (group.to_owned(), partition, offset)),
            );
        }
    }

    /// Ends the open transaction, if there is one.
    pub(super) fn end_open(&mut self, name: &str, commit: bool) {
        let Some(open) = self
            .transactions
            .producers
            .get_mut(name)
            .and_then(|owner| owner.open.take())
        else {
            return;
        };
        for (topic, number) in &open.partitions {
            if let Ok(log) = self.log_mut(topic, *number) {
                log.end_transaction(open.id, commit);
            }
        }
        if commit {
            for (group, partition, committed) in open.offsets {
                self.groups
                    .entry(group)
                    .or_default()
                    .set_committed(partition, Some(committed));
            }
        }
    }

    pub(super) fn expire_transactions(&mut self) {
        let open = |(name, owner): (&String, &Owner)| owner.open.is_some().then(|| name.clone());
        let names: Vec<String> = self.transactions.producers.iter().filter_map(open).collect();
        for name in names {
            self.end_open(&name, false);
            self.transactions.producers.entry(name).or_default().epoch += 1;
        }
    }

    /// Whether an open transaction is about to change what `group` has committed for `partition`.
    pub(super) fn is_unstable(&self, group: &str, partition: &TopicPartition) -> bool {
        let open = self
            .transactions
            .producers
            .values()
            .filter_map(|owner| owner.open.as_ref());
        open.flat_map(|open| &open.offsets)
            .any(|(of, changed, _)| of == group && changed == partition)
    }

    fn open_mut(&mut self, name: &str) -> Option<&mut Open> {
        self.transactions.producers.get_mut(name)?.open.as_mut()
    }
}
