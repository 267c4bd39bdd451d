//! A certificate authority and a server certificate for one test, made with the `openssl` program.

use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

/// PEM files of one authority and of a server that it vouches for.
pub struct Certificates {
    /// Certificate of the authority: what clients trust.
    pub ca: PathBuf,
    /// Key and certificate of the server in one file, as Kafka's PEM key store wants them.
    pub server: PathBuf,
}

const NEW_KEY: [&str; 5] = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];

/// Makes an authority and a certificate for `localhost`, `127.0.0.1` and `host`, good for two days, in `dir`.
pub fn make(dir: &Path, host: &str) -> Result<Certificates> {
    fs::create_dir_all(dir)?;
    let authority = Authority::new(dir, "ca", "Millrace test CA")?;
    let kind = if host.parse::<IpAddr>().is_ok() { "IP" } else { "DNS" };
    let names = format!("subjectAltName=DNS:localhost,IP:127.0.0.1,{kind}:{host}\n");
    authority.sign("server", "/CN=localhost", &names)?;
    let server = dir.join("server-with-key.pem");
    let both = [fs::read(dir.join("server.key"))?, fs::read(dir.join("server.pem"))?].concat();
    fs::write(&server, both)?;
    Ok(Certificates {
        ca: dir.join("ca.pem"),
        server,
    })
}

/// A key that vouches for others.
pub(crate) struct Authority {
    dir: PathBuf,
    name: &'static str,
}

impl Authority {
    /// Makes `<name>.pem` and `<name>.key` in `dir`.
    pub(crate) fn new(dir: &Path, name: &'static str, title: &str) -> Result<Self> {
        let (key, certificate, subject) = (format!("{name}.key"), format!("{name}.pem"), format!("/CN={title}"));
        let arguments = [
            "req",
            "-x509",
            "-days",
            "2",
            "-subj",
            &subject,
            "-keyout",
            &key,
            "-out",
            &certificate,
        ];
        openssl(dir, &[&arguments[..], &NEW_KEY].concat())?;
        Ok(Self {
            dir: dir.to_owned(),
            name,
        })
    }

    /// A certificate for a server with these alternative names.
    pub(crate) fn server(&self, file: &str, name: &str, alternatives: &str) -> Result<()> {
        let extensions = format!("extendedKeyUsage=serverAuth\nsubjectAltName={alternatives}\n");
        self.sign(file, &format!("/CN={name}"), &extensions)
    }

    /// A certificate for a client.
    pub(crate) fn client(&self, file: &str, subject: &str) -> Result<()> {
        self.sign(file, subject, "extendedKeyUsage=clientAuth\n")
    }

    /// Makes `<file>.pem` and `<file>.key` for `subject`, with these extensions.
    pub(crate) fn sign(&self, file: &str, subject: &str, extensions: &str) -> Result<()> {
        let dir = &self.dir;
        let [key, request, certificate, extension_file] =
            ["key", "csr", "pem", "extensions"].map(|kind| format!("{file}.{kind}"));
        let arguments = ["req", "-subj", subject, "-keyout", &key, "-out", &request];
        openssl(dir, &[&arguments[..], &NEW_KEY].concat())?;
        fs::write(dir.join(&extension_file), extensions)?;
        let (ca, ca_key) = (format!("{}.pem", self.name), format!("{}.key", self.name));
        openssl(
            dir,
            &[
                "x509",
                "-req",
                "-days",
                "2",
                "-in",
                &request,
                "-CA",
                &ca,
                "-CAkey",
                &ca_key,
                "-CAcreateserial",
                "-extfile",
                &extension_file,
                "-out",
                &certificate,
            ],
        )
    }
}

pub(crate) fn openssl(dir: &Path, arguments: &[&str]) -> Result<()> {
    let output = Command::new("openssl")
        .args(arguments)
        .current_dir(dir)
        .output()
        .context("cannot start openssl (Debian package `openssl`)")?;
    ensure!(
        output.status.success(),
        "openssl {arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}
