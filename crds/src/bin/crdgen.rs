//! Writes the CustomResourceDefinitions: `crdgen DIR`. `make crds` calls it.

use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let Some(directory) = std::env::args_os().nth(1) else {
        return fail("usage: crdgen DIR");
    };
    for (name, yaml) in millrace_crds::crd::files() {
        let path = Path::new(&directory).join(name);
        if let Err(error) = std::fs::write(&path, yaml) {
            return fail(&format!("cannot write {}: {error}", path.display()));
        }
    }
    ExitCode::SUCCESS
}

#[expect(clippy::print_stderr, reason = "a command line tool")]
fn fail(message: &str) -> ExitCode {
    eprintln!("{message}");
    ExitCode::FAILURE
}
