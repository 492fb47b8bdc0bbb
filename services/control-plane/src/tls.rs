//! TLS of the page and the WebSocket: a certificate from files, or one that the gateway makes for itself and keeps.

use std::{
    fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::Context as _;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use sha2::{Digest, Sha256};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        crypto::ring,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
        version::TLS13,
    },
};

use crate::Config;

/// TLS as it is served.
#[derive(Clone)]
pub(crate) struct Tls {
    /// Makes connections secure.
    pub(crate) acceptor: TlsAcceptor,
    /// SHA-256 of the certificate, as browsers and `openssl x509 -fingerprint -sha256` show it: what clients pin.
    pub(crate) fingerprint: String,
}

/// The TLS that the settings ask for; `None` where they ask for none.
///
/// # Errors
/// When a file cannot be read, or holds no certificate or key; the message says what to do.
pub(crate) fn prepare(config: &Config) -> anyhow::Result<Option<Tls>> {
    let (certificate, key) = (&config.tls_certificate, &config.tls_key);
    let named = |path: &Path| !path.as_os_str().is_empty();
    match (named(certificate), named(key)) {
        (true, true) => read(certificate, key).map(Some),
        (false, false) if !config.tls => Ok(None),
        (false, false) => {
            let (certificate, key) = own(config)?;
            read(&certificate, &key).map(Some)
        }
        _ => anyhow::bail!(
            "a certificate and its key belong together: set both gateway.tls_certificate and gateway.tls_key, or \
             neither and gateway.tls = true"
        ),
    }
}

fn read(certificate: &Path, key: &Path) -> anyhow::Result<Tls> {
    let text =
        |path: &Path| fs::read(path).with_context(|| format!("cannot read {}", path.display()));
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text(certificate)?).collect();
    let chain = chain.with_context(|| no(certificate, "certificates"))?;
    let first = chain
        .first()
        .with_context(|| no(certificate, "certificates"))?;
    let fingerprint = fingerprint(first);
    let key_der =
        PrivateKeyDer::from_pem_slice(&text(key)?).map_err(|_| anyhow::anyhow!(no(key, "key")))?;
    let provider = Arc::new(ring::default_provider());
    let mut server = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])?
        .with_no_client_auth()
        .with_single_cert(chain, key_der)
        .with_context(|| {
            format!(
                "the key in {} does not fit {}",
                key.display(),
                certificate.display()
            )
        })?;
    server.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Tls {
        acceptor: TlsAcceptor::from(Arc::new(server)),
        fingerprint,
    })
}

fn no(path: &Path, what: &str) -> String {
    format!("{} holds no {what} in PEM", path.display())
}

/// The certificate that the gateway made for itself, now or at an earlier start: clients pin it, so it stays.
fn own(config: &Config) -> anyhow::Result<(PathBuf, PathBuf)> {
    let folder = &config.tls_dir;
    let (certificate, key) = (folder.join("certificate.pem"), folder.join("key.pem"));
    if certificate.exists() && key.exists() {
        return Ok((certificate, key));
    }
    let mut names = vec!["localhost".to_owned(), "127.0.0.1".into(), "::1".into()];
    if !config.bind.is_unspecified() && !config.bind.is_loopback() {
        names.push(config.bind.to_string());
    }
    names.extend(config.allowed_hosts.iter().cloned());
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(names).context("gateway.allowed_hosts: not all are names")?;
    let kept = || -> io::Result<()> {
        private_folder(folder)?;
        write_private(&key, &signing_key.serialize_pem())?;
        write_private(&certificate, &cert.pem())
    };
    kept().with_context(|| format!("cannot keep a certificate in {}", folder.display()))?;
    Ok((certificate, key))
}

fn private_folder(folder: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

/// Writes a file that only the user can read, all of it or nothing.
fn write_private(path: &Path, text: &str) -> io::Result<()> {
    let fresh = path.with_added_extension("new");
    let mut options = fs::OpenOptions::new();
    options.create(true).truncate(true).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&fresh)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&fresh, path)
}

fn fingerprint(certificate: &CertificateDer<'_>) -> String {
    let bytes = Sha256::digest(certificate);
    let bytes: Vec<_> = bytes.iter().map(|byte| format!("{byte:02X}")).collect();
    bytes.join(":")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(name: &str) -> Config {
        let folder =
            std::env::temp_dir().join(format!("openclaw-tls-{name}-{}", uuid::Uuid::new_v4()));
        Config {
            tls: true,
            tls_dir: folder,
            ..Config::default()
        }
    }

    #[test]
    fn a_certificate_is_made_once_and_only_the_user_can_read_its_key() {
        let config = config("own");
        let first = prepare(&config).unwrap().unwrap().fingerprint;
        assert_eq!(first.len(), 32 * 3 - 1);
        assert_eq!(prepare(&config).unwrap().unwrap().fingerprint, first);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = fs::metadata(config.tls_dir.join("key.pem"))
                .unwrap()
                .permissions()
                .mode();
            assert_eq!(mode & 0o777, 0o600);
        }
        fs::remove_dir_all(&config.tls_dir).unwrap();
    }

    #[test]
    fn what_is_wrong_with_the_files_is_said() {
        let mut config = config("files");
        assert!(
            prepare(&Config {
                tls: false,
                ..config.clone()
            })
            .unwrap()
            .is_none()
        );
        let why = |config: &Config| format!("{:#}", prepare(config).err().unwrap());
        config.tls_certificate = "/no/such/file".into();
        assert!(why(&config).contains("belong together"), "{}", why(&config));
        config.tls_key = "/no/such/key".into();
        assert!(
            why(&config).contains("cannot read /no/such/file"),
            "{}",
            why(&config)
        );
        fs::create_dir_all(&config.tls_dir).unwrap();
        config.tls_certificate = config.tls_dir.join("empty.pem");
        fs::write(&config.tls_certificate, "").unwrap();
        assert!(
            why(&config).contains("holds no certificates"),
            "{}",
            why(&config)
        );
        fs::remove_dir_all(&config.tls_dir).unwrap();
    }
}
