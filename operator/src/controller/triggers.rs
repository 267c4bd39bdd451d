//! Who asks for a look at an object.

use std::time::Duration;

use tokio::sync::mpsc;

use crate::key::ObjectKey;

/// Changes come in bursts: a look this much later sees all of one.
const BURST: Duration = Duration::from_millis(20);

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// A look at one object, so much later.
    Look(ObjectKey, Duration),
    /// A look at one object if its last look went well: nothing about it was changed by anyone.
    Refresh(ObjectKey),
    /// A look at all objects.
    All,
}

/// Takes requests. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Triggers {
    requests: mpsc::UnboundedSender<Request>,
}

impl Triggers {
    /// The receiver is read by `dispatch`.
    pub fn new() -> (Self, mpsc::UnboundedReceiver<Request>) {
        let (requests, receiver) = mpsc::unbounded_channel();
        (Self { requests }, receiver)
    }

    /// Asks for a look soon.
    pub fn look(&self, key: ObjectKey) {
        self.send(Request::Look(key, BURST));
    }

    /// Asks for a look at the numbers.
    pub fn refresh(&self, key: ObjectKey) {
        self.send(Request::Refresh(key));
    }

    /// Asks for a look at everything.
    pub fn all(&self) {
        self.send(Request::All);
    }

    fn send(&self, request: Request) {
        // Nobody reads any more while the process stops: nothing is left to do then.
        let _stopping = self.requests.send(request);
    }
}
