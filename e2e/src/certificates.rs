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

/// Makes an authority and a certificate for `localhost`, `127.0.0.1` and `host`, good for two days, in `dir`.
pub fn make(dir: &Path, host: &str) -> Result<Certificates> {
    fs::create_dir_all(dir)?;
    let new_key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
    openssl(
        dir,
        &[
            &[
                "req",
                "-x509",
                "-days",
                "2",
                "-subj",
                "/CN=Millrace test CA",
                "-keyout",
                "ca.key",
                "-out",
                "ca.pem",
            ],
            &new_key[..],
        ]
        .concat(),
    )?;
    openssl(
        dir,
        &[
            &[
                "req",
                "-subj",
                "/CN=localhost",
                "-keyout",
                "server.key",
                "-out",
                "server.csr",
            ],
            &new_key[..],
        ]
        .concat(),
    )?;
    let kind = if host.parse::<IpAddr>().is_ok() { "IP" } else { "DNS" };
    fs::write(
        dir.join("names"),
        format!("subjectAltName=DNS:localhost,IP:127.0.0.1,{kind}:{host}\n"),
    )?;
    openssl(
        dir,
        &[
            "x509",
            "-req",
            "-days",
            "2",
            "-in",
            "server.csr",
            "-CA",
            "ca.pem",
            "-CAkey",
            "ca.key",
            "-CAcreateserial",
            "-extfile",
            "names",
            "-out",
            "server.pem",
        ],
    )?;
    let server = dir.join("server-with-key.pem");
    let both = [fs::read(dir.join("server.key"))?, fs::read(dir.join("server.pem"))?].concat();
    fs::write(&server, both)?;
    Ok(Certificates {
        ca: dir.join("ca.pem"),
        server,
    })
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
