//! Takes requests for looks and carries them out: several objects at once, the same one never twice at once, each within a
//! time limit, and after failures with growing pauses.

use std::future::pending;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::StreamExt;
use futures::future::{BoxFuture, FutureExt};
use futures::stream::FuturesUnordered;
use millrace_service::Shutdown;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::{sleep_until, timeout};

use super::backoff;
use super::context::Context;
use super::failure::Failure;
use super::queue::Queue;
use super::reconcile::{SAFETY_NET, reconcile};
use super::triggers::Request;
use crate::key::ObjectKey;
use crate::metrics::Reconciled;

/// Looks at once.
const AT_ONCE: usize = 8;
/// Longest look.
const LIMIT: Duration = Duration::from_secs(30);

/// Works until shutdown, then finishes what is in hand.
pub async fn dispatch(context: Arc<Context>, mut requests: UnboundedReceiver<Request>, stop: Shutdown) {
    let mut queue = Queue::default();
    let mut looks: FuturesUnordered<BoxFuture<'static, (ObjectKey, Duration)>> = FuturesUnordered::new();
    loop {
        while looks.len() < AT_ONCE
            && let Some(key) = queue.take(Instant::now())
        {
            looks.push(look(context.clone(), key).boxed());
        }
        let due = queue.next().filter(|_| looks.len() < AT_ONCE);
        tokio::select! {
            () = stop.requested() => break,
            Some((key, again)) = looks.next(), if !looks.is_empty() => {
                queue.done(&key);
                if context.objects.get(&key).is_some() {
                    queue.add(key, Instant::now() + again);
                }
            }
            Some(request) = requests.recv() => enqueue(&context, &mut queue, request),
            () = wait(due) => {}
        }
    }
    while looks.next().await.is_some() {}
}

async fn wait(until: Option<Instant>) {
    match until {
        Some(until) => sleep_until(until.into()).await,
        None => pending().await,
    }
}

fn enqueue(context: &Context, queue: &mut Queue, request: Request) {
    let now = Instant::now();
    match request {
        Request::Look(key, later) => queue.add(key, now + later),
        Request::Refresh(key) => {
            let failing = context.memories.of(&key, |memory| memory.failures > 0);
            if !failing && context.objects.get(&key).is_some() {
                queue.add(key, now);
            }
        }
        Request::All => context.objects.keys().into_iter().for_each(|key| queue.add(key, now)),
    }
}

/// Looks at one object; returns when to look again.
async fn look(context: Arc<Context>, key: ObjectKey) -> (ObjectKey, Duration) {
    let began = Instant::now();
    let looked = match timeout(LIMIT, reconcile(&context, &key)).await {
        Ok(looked) => looked,
        Err(_) => Err(Failure::TimedOut(LIMIT.as_secs())),
    };
    let (result, again) = match looked {
        Ok(again) => {
            context.memories.of(&key, |memory| memory.failures = 0);
            (Reconciled::Done, again)
        }
        Err(failure) => failed(&context, &key, &failure),
    };
    context.reconciles.count(key.kind, result, began.elapsed());
    (key, again)
}

fn failed(context: &Context, key: &ObjectKey, failure: &Failure) -> (Reconciled, Duration) {
    // Whoever becomes the leader looks at everything.
    if matches!(failure, Failure::NotLeader) {
        return (Reconciled::Done, SAFETY_NET);
    }
    let failures = context.memories.of(key, |memory| {
        memory.failures = memory.failures.saturating_add(1);
        memory.failures
    });
    let again = backoff::after(failures, backoff::jitter());
    let result = match failure {
        // Part of everyday life: the cache was a moment behind.
        Failure::Changed(_) => {
            tracing::debug!(object = %key, failures, "{failure}");
            return (Reconciled::Done, again);
        }
        Failure::NameTaken(_) | Failure::Forbidden(_) | Failure::Refused(_) => Reconciled::Refused,
        _ => Reconciled::Failed,
    };
    tracing::warn!(object = %key, failures, again_in_seconds = again.as_secs_f32(), "{failure}");
    (result, again)
}
