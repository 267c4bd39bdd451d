//! Whole-system tests on a real Kafka broker, and what they stand on. Nothing of Millrace is linked in: the tests start
//! its programs as a user does, and judge them by what a reader of the topics sees.

pub mod eventually;

pub mod process;

pub mod jars;

pub mod certificates;

pub mod broker;

pub mod client;

pub mod cluster;

pub mod images;

pub mod kubectl;

mod served;

pub mod api_proxy;

pub mod installation;

pub mod operator;

pub mod children;

pub mod realm;

pub mod webhook;

pub mod load;

pub mod manifest;

pub mod programs;

pub mod flights;

pub mod oracle;

pub mod compare;

pub mod scenario;

pub mod bench;

pub mod sql;

pub mod peers;
