//! Every reason that a condition or an event may give.

use std::fmt;

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// Why a condition is as it is, in one word for programs.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Reason { $($(#[$doc])* $name,)* }

        impl Reason {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// As written in `reason`.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => stringify!($name),)* }
            }
        }
    };
}

reasons! {
    /// Runners run as declared.
    Running,
    /// Runners were started and are not ready yet.
    Starting,
    /// The number of runners changes.
    Scaling,
    /// No runner is asked for.
    ScaledToZero,
    /// A changed spec replaces the old runners.
    RollingOut,
    /// Runners commit and leave.
    Draining,
    /// Stopped on request.
    Suspended,
    /// Nobody asked to stop it.
    NotSuspended,
    /// The spec has problems.
    InvalidSpec,
    /// The new spec has no use for state that exists.
    StateWouldBeLost,
    /// An object of the name that is needed belongs to somebody else.
    NameTaken,
    /// The API server does not allow something.
    Forbidden,
    /// The API server refused something for another reason.
    ApplyFailed,
    /// The broker answers and the topics are there.
    Reachable,
    /// The broker has not been asked yet.
    NotAskedYet,
    /// Only runners can ask the broker.
    CredentialsNeeded,
    /// No broker answers.
    SourceUnreachable,
    /// A source topic does not exist.
    TopicMissing,
    /// Records were deleted before they were read.
    RecordsLost,
    /// A Secret, or a key of it, does not exist.
    SecretMissing,
    /// No StorageClass can serve the claim.
    NoStorageClass,
    /// The claim is not served.
    ClaimPending,
    /// No node has room for a runner.
    Unschedulable,
    /// The image cannot be pulled.
    ImagePullFailed,
    /// The container cannot be made.
    ContainerFailed,
    /// A runner stops again and again.
    RunnerFailed,
    /// A runner was stopped for using too much memory.
    OutOfMemory,
    /// The lag is not known.
    LagUnknown,
    /// Nothing is left to read.
    CaughtUp,
    /// Records are left to read.
    Behind,
    /// Commits succeed.
    Committing,
    /// Nothing was committed yet.
    NoCommitYet,
    /// Work has waited too long for a commit.
    CheckpointLate,
    /// A checkpoint cannot be written.
    CheckpointFailed,
    /// A runner says that no broker answers.
    BrokerUnreachable,
    /// There is no runner.
    NoRunner,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
