//! Container images made of programs of this machine: the program, the libraries that it loads, and a user. What the
//! Dockerfile makes for users, without a container engine.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::json;

use crate::jars::cache;

/// Image of the operator.
pub const OPERATOR: &str = "millrace.test/millrace-operator:test";
/// Image of the runner.
pub const RUNNER: &str = "millrace.test/millrace-runner:test";
/// Image that keeps a pod's namespaces.
const PAUSE: &str = "millrace.test/pause:1";
/// The user of every image but `pause`.
const USER: &str = "65532:65532";

/// Values of the chart that name the images of operator and runner, which are on the node already.
pub fn values() -> [String; 2] {
    [("operator", OPERATOR), ("runner", RUNNER)].map(|(part, image)| {
        let never = format!("{part}.image.pullPolicy=Never");
        value(part, image)
            .into_iter()
            .chain([never])
            .collect::<Vec<_>>()
            .join(",")
    })
}

/// Values of the chart that name the image of `part`: registry, repository and tag.
pub fn value(part: &str, image: &str) -> Vec<String> {
    let (name, tag) = match image.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name, tag),
        _ => (image, "latest"),
    };
    let (registry, repository) = name.split_once('/').unwrap_or(("docker.io", name));
    let names = [("registry", registry), ("repository", repository), ("tag", tag)];
    names
        .map(|(field, value)| format!("{part}.image.{field}={value}"))
        .to_vec()
}

/// Archive of an image that has these programs in `/usr/local/bin` and runs the first.
pub fn of_programs(image: &str, programs: &[PathBuf]) -> Result<PathBuf> {
    let first = programs.first().context("an image runs a program")?;
    let name = file_name(first)?;
    let build = Build::new(name)?;
    for program in programs {
        let copy = build.root.join("usr/local/bin").join(file_name(program)?);
        fs::create_dir_all(build.root.join("usr/local/bin"))?;
        // Names of functions stay, for what a panic says; the rest of the debug information is most of the file.
        run(Command::new("strip")
            .args(["--strip-debug", "-o"])
            .arg(&copy)
            .arg(program))?;
        build.libraries(program)?;
    }
    build.file("etc/passwd", "nonroot:x:65532:65532::/:/sbin/nologin\n")?;
    build.file("etc/group", "nonroot:x:65532:\n")?;
    build.file("etc/nsswitch.conf", "hosts: files dns\n")?;
    build.archive(image, &format!("/usr/local/bin/{name}"), USER)
}

/// Archive of the image that keeps a pod's namespaces.
pub(crate) fn pause() -> Result<PathBuf> {
    let build = Build::new("pause")?;
    let source = Path::new(env!("MILLRACE_SOURCE")).join("e2e/cluster/pause.c");
    run(Command::new("cc")
        .args(["-static", "-Os", "-s", "-o"])
        .arg(build.root.join("pause"))
        .arg(source))?;
    build.archive(PAUSE, "/pause", "65535:65535")
}

/// An image on its way: its files in a folder.
struct Build {
    name: String,
    folder: tempfile::TempDir,
    root: PathBuf,
}

impl Build {
    fn new(name: &str) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("millrace-image-").tempdir()?;
        let root = folder.path().join("root");
        fs::create_dir(&root)?;
        fs::set_permissions(&root, fs::Permissions::from_mode(0o755))?;
        Ok(Self {
            name: name.to_owned(),
            folder,
            root,
        })
    }

    fn file(&self, path: &str, text: &str) -> Result<()> {
        let path = self.root.join(path);
        fs::create_dir_all(path.parent().context("a path has a folder")?)?;
        Ok(fs::write(path, text)?)
    }

    /// Copies what the loader would load, under the names that it looks for.
    fn libraries(&self, program: &Path) -> Result<()> {
        let listed = Command::new("ldd").arg(program).output().context("cannot start ldd")?;
        let listed = String::from_utf8(listed.stdout)?;
        let named = listed
            .lines()
            .filter_map(|line| line.split_whitespace().find(|word| word.starts_with('/')));
        // Names are resolved by libraries that are loaded on demand.
        let resolving = [
            "/lib/x86_64-linux-gnu/libnss_dns.so.2",
            "/lib/x86_64-linux-gnu/libnss_files.so.2",
            "/lib/x86_64-linux-gnu/libresolv.so.2",
        ];
        for library in named.chain(resolving).filter(|library| Path::new(library).exists()) {
            let copy = self.root.join(library.trim_start_matches('/'));
            fs::create_dir_all(copy.parent().context("a library lies in a folder")?)?;
            fs::copy(library, &copy).with_context(|| library.to_owned())?;
        }
        Ok(())
    }

    /// Packs it as `docker save` does: one layer, its configuration, a manifest.
    fn archive(&self, image: &str, entrypoint: &str, user: &str) -> Result<PathBuf> {
        let folder = self.folder.path();
        let layer = folder.join("layer.tar");
        run(Command::new("tar")
            .args([
                "--sort=name",
                "--mtime=@0",
                "--owner=0",
                "--group=0",
                "--numeric-owner",
                "-C",
            ])
            .arg(&self.root)
            .arg("-cf")
            .arg(&layer)
            .arg("."))?;
        let sum = Command::new("sha256sum").arg(&layer).output()?;
        let sum = String::from_utf8(sum.stdout)?;
        let digest = sum.split_whitespace().next().context("sha256sum prints a sum")?;
        let config = json!({
            "architecture": architecture(),
            "os": "linux",
            "config": {
                "Entrypoint": [entrypoint],
                "User": user,
                "Env": ["PATH=/usr/local/bin:/usr/bin:/bin"],
            },
            "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{digest}")]},
        });
        fs::write(folder.join("config.json"), config.to_string())?;
        let manifest = json!([{"Config": "config.json", "RepoTags": [image], "Layers": ["layer.tar"]}]);
        fs::write(folder.join("manifest.json"), manifest.to_string())?;
        let archives = cache()?.join("images");
        fs::create_dir_all(&archives)?;
        let fresh = tempfile::NamedTempFile::new_in(&archives)?;
        run(Command::new("tar")
            .arg("-cf")
            .arg(fresh.path())
            .arg("-C")
            .arg(folder)
            .args(["manifest.json", "config.json", "layer.tar"]))?;
        let path = archives.join(format!("{}.tar", self.name));
        fresh.persist(&path)?;
        Ok(path)
    }
}

fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "aarch64" => "arm64",
        _ => "amd64",
    }
}

fn file_name(path: &Path) -> Result<&str> {
    path.file_name()
        .and_then(|name| name.to_str())
        .context("a program has a name of UTF-8")
}

fn run(command: &mut Command) -> Result<()> {
    let output = command.output().with_context(|| format!("cannot start {command:?}"))?;
    ensure!(
        output.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}
