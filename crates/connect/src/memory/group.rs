//! A consumer group with the cooperative protocol: a rebalance takes away only what must move, and what moves is given to
//! its new owner after the old one released it.
//!
//! As on Kafka, the generation rises without the members' doing; a member learns it with its next event, and until then
//! its commits are refused. The generation does not rise while a member still has to release something: the others wait
//! for it, until its session times out.

use super::TopicPartition;
use crate::Committed;
use std::collections::{BTreeMap, BTreeSet};

/// Identity of a member; a member that rejoins gets a new one.
pub type MemberId = u64;

#[derive(Debug, Default)]
pub(super) struct Group {
    generation: i32,
    next_member: MemberId,
    members: BTreeMap<MemberId, Member>,
    owners: BTreeMap<TopicPartition, MemberId>,
    rebalance_wanted: bool,
    offsets: BTreeMap<TopicPartition, Committed>,
}

#[derive(Debug, Default)]
struct Member {
    topics: BTreeSet<String>,
    target: BTreeSet<TopicPartition>,
    /// Told to go, not yet released.
    going: BTreeSet<TopicPartition>,
    /// The generation that the member knows of.
    known: i32,
    crashed: bool,
}

/// What a member learns when it polls.
pub(super) enum Change {
    /// The group does not know this member (any more).
    Unknown,
    None,
    Assigned(Vec<TopicPartition>),
    Revoked(Vec<TopicPartition>),
}

impl Group {
    pub(super) fn join(&mut self, topics: &[String], counts: &BTreeMap<String, i32>) -> MemberId {
        self.next_member += 1;
        let member = Member {
            topics: topics.iter().cloned().collect(),
            known: self.generation,
            ..Member::default()
        };
        self.members.insert(self.next_member, member);
        self.rebalance(counts);
        self.next_member
    }

    /// A member leaves or its session timed out: what it owned is free at once.
    pub(super) fn remove(&mut self, member: MemberId, counts: &BTreeMap<String, i32>) {
        if self.members.remove(&member).is_some() {
            self.owners.retain(|_, owner| *owner != member);
            self.rebalance(counts);
        }
    }

    pub(super) fn release(&mut self, member: MemberId, partitions: &[TopicPartition], counts: &BTreeMap<String, i32>) {
        let Some(found) = self.members.get_mut(&member) else {
            return;
        };
        for partition in partitions {
            found.going.remove(partition);
            if self.owners.get(partition) == Some(&member) {
                self.owners.remove(partition);
            }
        }
        if found.going.is_empty() {
            self.rebalance(counts);
        }
    }

    pub(super) fn next_change(&mut self, id: MemberId) -> Change {
        let Some(member) = self.members.get_mut(&id) else {
            return Change::Unknown;
        };
        if member.known == self.generation {
            return Change::None;
        }
        member.known = self.generation;
        let owned = |owners: &BTreeMap<_, _>| -> BTreeSet<TopicPartition> {
            owners
                .iter()
                .filter(|(_, owner)| **owner == id)
                .map(|(partition, _)| partition)
                .cloned()
                .collect()
        };
        let going: Vec<_> = owned(&self.owners).difference(&member.target).cloned().collect();
        if !going.is_empty() {
            member.going.extend(going.iter().cloned());
            return Change::Revoked(going);
        }
        let new: Vec<_> = member
            .target
            .iter()
            .filter(|new| !self.owners.contains_key(*new))
            .cloned()
            .collect();
        self.owners.extend(new.iter().map(|partition| (partition.clone(), id)));
        Change::Assigned(new)
    }

    /// The generation that `member` knows of.
    pub(super) fn known_generation(&self, member: MemberId) -> Option<i32> {
        self.members.get(&member).map(|member| member.known)
    }

    /// What the coordinator checks before it takes offsets. Ownership is not part of it.
    pub(super) fn check(&self, member: MemberId, generation: i32) -> Result<(), String> {
        if !self.members.contains_key(&member) {
            return Err(format!("unknown member {member}"));
        }
        if generation != self.generation {
            return Err(format!(
                "illegal generation {generation}: the group is at {}",
                self.generation
            ));
        }
        Ok(())
    }

    pub(super) fn mark_crashed(&mut self, member: MemberId) {
        if let Some(member) = self.members.get_mut(&member) {
            member.crashed = true;
        }
    }

    pub(super) fn crashed(&self) -> Vec<MemberId> {
        self.members
            .iter()
            .filter(|(_, member)| member.crashed)
            .map(|(id, _)| *id)
            .collect()
    }

    pub(super) fn members(&self) -> Vec<MemberId> {
        self.members.keys().copied().collect()
    }

    pub(super) fn committed(&self, partition: &TopicPartition) -> Option<&Committed> {
        self.offsets.get(partition)
    }

    pub(super) fn set_committed(&mut self, partition: TopicPartition, to: Option<Committed>) {
        match to {
            Some(committed) => self.offsets.insert(partition, committed),
            None => self.offsets.remove(&partition),
        };
    }

    /// Starts a new generation, or as soon as nobody has anything left to release.
    fn rebalance(&mut self, counts: &BTreeMap<String, i32>) {
        self.rebalance_wanted = self.members.values().any(|member| !member.going.is_empty());
        if !self.rebalance_wanted {
            self.generation += 1;
            self.assign(counts);
        }
    }

    /// Sticky: everybody keeps what it owns up to a fair share; the rest goes to those below theirs.
    fn assign(&mut self, counts: &BTreeMap<String, i32>) {
        let subscribed =
            |(topic, _): &&TopicPartition| self.members.values().any(|member| member.topics.contains(topic));
        let all: Vec<TopicPartition> = counts
            .iter()
            .flat_map(|(topic, count)| (0..*count).map(|number| (topic.clone(), number)))
            .collect();
        let all: Vec<TopicPartition> = all.iter().filter(subscribed).cloned().collect();
        let mut held: BTreeMap<MemberId, Vec<TopicPartition>> =
            self.members.keys().map(|id| (*id, Vec::new())).collect();
        let mut free = Vec::new();
        for partition in all.iter().cloned() {
            match self.owners.get(&partition).and_then(|owner| held.get_mut(owner)) {
                Some(list) => list.push(partition),
                None => free.push(partition),
            }
        }
        let mut order: Vec<MemberId> = self.members.keys().copied().collect();
        order.sort_by_key(|id| (usize::MAX - held[id].len(), *id));
        let (share, extra) = (all.len() / order.len().max(1), all.len() % order.len().max(1));
        let share_of = |rank: usize| share + usize::from(rank < extra);
        for (rank, id) in order.iter().enumerate() {
            let list = held.get_mut(id).expect("every member has a list");
            free.extend(list.drain(share_of(rank).min(list.len())..));
        }
        free.sort();
        let mut free = free.into_iter();
        for (rank, id) in order.iter().enumerate() {
            let list = held.get_mut(id).expect("every member has a list");
            list.extend(free.by_ref().take(share_of(rank) - list.len()));
            self.members.get_mut(id).expect("`order` lists members").target = list.iter().cloned().collect();
        }
    }
}
