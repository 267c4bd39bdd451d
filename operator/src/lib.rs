//! The controller of Millrace: keeps runners, their claims and their autoscalers as the objects of both kinds say, and says in
//! their status how far they are.
//!
//! Order of the modules = way of an object, from a watch event to its status.

#![forbid(unsafe_code)]

pub mod settings;

pub mod key;

pub mod lease;

pub mod controller;

pub mod observe;

pub mod status;

pub mod metrics;

pub mod serving;

mod run;

pub use run::run;
