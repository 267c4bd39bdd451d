//! The programs of Kubernetes, Helm and CoreDNS: built once from their Go modules, kept outside of the checkout.

use std::fs::{self, File};
use std::io::{Write, stderr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, ensure};

use crate::jars::cache;

/// One Go module of `e2e/cluster`: all that its `tool` lines name is built.
struct Module {
    folder: &'static str,
    title: &'static str,
    flags: &'static str,
}

/// Three modules, because their dependencies contradict each other.
const MODULES: [Module; 3] = [
    Module {
        folder: "kubernetes",
        title: "Kubernetes v1.34.4 (about six minutes on two cores)",
        flags: "-s -w -X k8s.io/component-base/version.gitVersion=v1.34.4 -X k8s.io/component-base/version.gitMajor=1 \
                -X k8s.io/component-base/version.gitMinor=34",
    },
    Module {
        folder: "helm",
        title: "Helm v3.22.0",
        flags: "-s -w -X helm.sh/helm/v3/internal/version.version=v3.22.0 \
                -X helm.sh/helm/v3/pkg/chartutil.k8sVersionMajor=1 -X helm.sh/helm/v3/pkg/chartutil.k8sVersionMinor=34",
    },
    Module {
        folder: "coredns",
        title: "CoreDNS v1.12.4 (about two minutes)",
        flags: "-s -w",
    },
];

/// Folder of what the clusters are made of: Go modules, scripts and settings.
pub(super) fn sources() -> PathBuf {
    Path::new(env!("MILLRACE_SOURCE")).join("e2e/cluster")
}

/// Folder with the built programs. Builds them if these versions are not there yet, which takes minutes.
pub fn programs() -> Result<PathBuf> {
    let home = cache()?.join("kubernetes");
    let folder = home.join(fingerprint()?).join("bin");
    if folder.exists() {
        return Ok(folder);
    }
    fs::create_dir_all(&home)?;
    // Two that build at once would take twice as long each. The lock ends with the file, however this process ends.
    let lock = File::create(home.join("lock"))?;
    lock.lock()?;
    if !folder.exists() {
        build_into(&home, &folder)?;
    }
    Ok(folder)
}

/// Into a folder of its own first: a build that breaks off leaves nothing that looks whole.
fn build_into(home: &Path, folder: &Path) -> Result<()> {
    let fresh = home.join("unfinished");
    if fresh.exists() {
        fs::remove_dir_all(&fresh)?;
    }
    fs::create_dir_all(&fresh)?;
    let started = Instant::now();
    for module in &MODULES {
        writeln!(stderr(), "building {}, once for all checkouts", module.title)?;
        let status = Command::new("go")
            .args(["build", "-trimpath", "-ldflags", module.flags, "-o"])
            .arg(format!("{}/bin/", fresh.display()))
            .arg("tool")
            .current_dir(sources().join(module.folder))
            .status()
            .context("cannot start go: the test cluster is built from source (https://go.dev/dl)")?;
        ensure!(status.success(), "go could not build {}", module.title);
    }
    fs::create_dir_all(folder.parent().context("the folder has a name")?)?;
    fs::rename(fresh.join("bin"), folder)?;
    fs::remove_dir(fresh)?;
    writeln!(
        stderr(),
        "built after {} s: {}",
        started.elapsed().as_secs(),
        folder.display()
    )?;
    Ok(())
}

/// Changes with every version that is asked for.
fn fingerprint() -> Result<String> {
    let mut sum = Command::new("sha256sum");
    for module in &MODULES {
        for file in ["go.mod", "go.sum"] {
            sum.arg(format!("{}/{file}", module.folder));
        }
    }
    let output = sum.current_dir(sources()).output().context("cannot start sha256sum")?;
    ensure!(
        output.status.success(),
        "sha256sum: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let mut together = String::from_utf8(output.stdout)?;
    for module in &MODULES {
        together.push_str(module.flags);
    }
    // FNV-1a: it tells versions apart, nobody attacks it.
    let hash = together.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    Ok(format!("{hash:016x}"))
}
