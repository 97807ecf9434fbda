use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::{AtomicU32, Ordering};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, KeyPair, SanType};
use rustls::crypto::ring::cipher_suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, HandshakeKind, RootCertStore, ServerConnection};

use super::*;

/// An RSA key, for the built-in authority makes none.
const RSA: &str = include_str!("rsa.pem");
const TLS12: &[&rustls::SupportedProtocolVersion] = &[&rustls::version::TLS12];
const DAY: i64 = 86_400;

struct Issuer {
    certificate: rcgen::Certificate,
    key: KeyPair,
}

/// A directory with an authority, and what it issues.
struct World {
    dir: PathBuf,
    root: Issuer,
}

struct Wish<'a> {
    names: &'a [&'a str],
    /// Days from now.
    from: i64,
    to: i64,
    rsa: bool,
}

const GOOD: Wish = Wish {
    names: &["::1", "cloud.example"],
    from: -1,
    to: 90,
    rsa: false,
};

fn issuer(name: &str, by: Option<&Issuer>) -> Issuer {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let certificate = match by {
        None => params.self_signed(&key).unwrap(),
        Some(by) => params.signed_by(&key, &by.certificate, &by.key).unwrap(),
    };
    Issuer { certificate, key }
}

impl World {
    fn new() -> World {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("hextet-certificates-{}-{number}", std::process::id());
        let dir = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&dir).unwrap();
        let world = World {
            root: issuer("root", None),
            dir,
        };
        world.write("ca.pem", &world.root.certificate.pem());
        world
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let file = self.dir.join(name);
        std::fs::write(&file, text).unwrap();
        std::fs::set_permissions(&file, PermissionsExt::from_mode(0o600)).unwrap();
        file
    }

    /// Writes a certificate, what is behind it, and its key.
    fn issue(&self, name: &str, wish: &Wish, by: &Issuer, behind: &str) -> Pair {
        let key = match wish.rsa {
            true => KeyPair::from_pem(RSA).unwrap(),
            false => KeyPair::generate().unwrap(),
        };
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.subject_alt_names = wish.names.iter().map(|n| san(n)).collect();
        params.not_before = (at(wish.from)).into();
        params.not_after = (at(wish.to)).into();
        let certificate = params.signed_by(&key, &by.certificate, &by.key).unwrap();
        Pair {
            certificate: self.write(
                &format!("{name}.pem"),
                &format!("{}{behind}", certificate.pem()),
            ),
            key: self.write(&format!("{name}.key"), &key.serialize_pem()),
        }
    }

    fn source(&self, pairs: &[&Pair]) -> Source {
        Source {
            pairs: pairs.iter().map(|p| (*p).clone()).collect(),
            ca: self.dir.join("ca.pem"),
            awaited: None,
            host: "::1".into(),
        }
    }

    fn refusal(&self, pair: &Pair) -> String {
        let read = Certificates::read(self.source(&[pair]), SystemTime::now());
        read.unwrap_err().to_string()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.dir).unwrap();
    }
}

fn san(name: &str) -> SanType {
    match name.parse() {
        Ok(address) => SanType::IpAddress(address),
        Err(_) => SanType::DnsName(name.try_into().unwrap()),
    }
}

fn at(days: i64) -> SystemTime {
    let shift = Duration::from_secs((days.abs() * DAY) as u64);
    match days < 0 {
        true => SystemTime::now() - shift,
        false => SystemTime::now() + shift,
    }
}

#[test]
fn what_a_client_would_refuse_is_refused_first() {
    let world = World::new();
    let other = issuer("other", None);
    let between = issuer("between", Some(&world.root));
    let check = |pair: &Pair, reason: &str| {
        let why = world.refusal(pair);
        assert!(why.contains(reason), "{reason}: {why}");
    };
    let with = |change: fn(&mut Wish<'static>)| {
        let mut wish = GOOD;
        change(&mut wish);
        wish
    };
    let issue = |name: &str, wish: &Wish| world.issue(name, wish, &world.root, "");
    check(
        &issue("old", &with(|w| (w.from, w.to) = (-9, -1))),
        "ended on",
    );
    check(
        &issue("young", &with(|w| w.from = 1)),
        "is not valid before",
    );
    let unnamed = with(|w| w.names = &["cloud.example", "2001:db8::1", "127.0.0.1"]);
    check(&issue("unnamed", &unnamed), "does not carry '::1'");
    check(
        &issue("nameless", &with(|w| w.names = &[])),
        "neither a name",
    );
    check(
        &world.issue("foreign", &GOOD, &other, ""),
        "does not lead to",
    );
    // The one between is left out, or is there.
    check(&world.issue("gap", &GOOD, &between, ""), "does not lead to");
    let whole = world.issue("whole", &GOOD, &between, &between.certificate.pem());
    Certificates::read(world.source(&[&whole]), SystemTime::now()).unwrap();

    let good = issue("good", &GOOD);
    let mixed = Pair {
        key: whole.key.clone(),
        ..good.clone()
    };
    check(&mixed, "cannot be used together");
    let swapped = Pair {
        certificate: good.key.clone(),
        key: good.certificate.clone(),
    };
    check(&swapped, "holds no certificate");
    let keyless = Pair {
        key: good.certificate.clone(),
        ..good.clone()
    };
    check(&keyless, "holds no private key");
    std::fs::set_permissions(&good.key, PermissionsExt::from_mode(0o644)).unwrap();
    check(&good, "chmod 600");
    std::fs::remove_file(&good.key).unwrap();
    check(&good, "cannot read");

    let mut params = CertificateParams::default();
    params.subject_alt_names = vec![san("::1")];
    let key = KeyPair::generate().unwrap();
    let alone = Pair {
        certificate: world.write("alone.pem", &params.self_signed(&key).unwrap().pem()),
        key: world.write("alone.key", &key.serialize_pem()),
    };
    check(&alone, "signed by itself");
}

/// Shakes hands, and tells which certificate was shown and how it went.
fn shake(
    server: &Arc<ServerConfig>,
    client: &Arc<ClientConfig>,
    name: &str,
) -> (Vec<u8>, HandshakeKind) {
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let mut client = ClientConnection::new(client.clone(), name).unwrap();
    let mut server = ServerConnection::new(server.clone()).unwrap();
    let mut wire = Vec::new();
    while client.is_handshaking() || server.is_handshaking() || server.wants_write() {
        wire.clear();
        while client.wants_write() {
            client.write_tls(&mut wire).unwrap();
        }
        server.read_tls(&mut wire.as_slice()).unwrap();
        server.process_new_packets().unwrap();
        wire.clear();
        while server.wants_write() {
            server.write_tls(&mut wire).unwrap();
        }
        client.read_tls(&mut wire.as_slice()).unwrap();
        client.process_new_packets().unwrap();
    }
    let shown = client.peer_certificates().unwrap()[0].to_vec();
    (shown, client.handshake_kind().unwrap())
}

fn client(world: &World, rsa_suites_only: bool) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(world.root.certificate.der().clone()).unwrap();
    let mut provider = rustls::crypto::ring::default_provider();
    let mut versions = rustls::ALL_VERSIONS;
    if rsa_suites_only {
        provider.cipher_suites = vec![TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256];
        versions = TLS12;
    }
    let config = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    Arc::new(config)
}

fn leaf(file: &Path) -> Vec<u8> {
    CertificateDer::from_pem_file(file).unwrap().to_vec()
}

#[test]
fn each_client_is_shown_what_it_asks_for_and_can_read() {
    let world = World::new();
    let issue = |name: &str, names: &[&str], rsa| {
        let wish = Wish { names, rsa, ..GOOD };
        world.issue(name, &wish, &world.root, "")
    };
    let extra = issue("extra", &["*.apps.example", "api.example"], false);
    let rsa = issue("rsa", &["::1", "cloud.example"], true);
    let ecdsa = issue("ecdsa", &["::1", "cloud.example"], false);
    let certificates =
        Certificates::read(world.source(&[&extra, &rsa, &ecdsa]), SystemTime::now()).unwrap();
    let server = certificates.server_config().unwrap();
    let (modern, old) = (client(&world, false), client(&world, true));
    for (config, name, shown) in [
        (&modern, "::1", &ecdsa),
        (&old, "::1", &rsa),
        (&modern, "cloud.example", &ecdsa),
        (&old, "cloud.example", &rsa),
        (&modern, "api.example", &extra),
        (&modern, "a.apps.example", &extra),
    ] {
        let (certificate, _) = shake(&server, config, name);
        assert!(certificate == leaf(&shown.certificate), "{name}");
    }
    assert_eq!(certificates.ends().len(), 3);
}

#[test]
fn new_files_take_the_place_of_old_ones_and_bad_ones_do_not() {
    let world = World::new();
    let pair = world.issue("leaf", &GOOD, &world.root, "");
    let first = leaf(&pair.certificate);
    let certificates = Certificates::read(world.source(&[&pair]), SystemTime::now()).unwrap();
    let server = certificates.server_config().unwrap();
    let client = client(&world, false);
    assert_eq!(
        shake(&server, &client, "::1"),
        (first.clone(), HandshakeKind::Full)
    );
    assert_eq!(shake(&server, &client, "::1").1, HandshakeKind::Resumed);

    world.write("leaf.pem", "nothing");
    certificates.reload(SystemTime::now()).unwrap_err();
    let fresh = self::client(&world, false);
    assert_eq!(shake(&server, &fresh, "::1").0, first);

    world.issue("leaf", &GOOD, &world.root, "");
    certificates.reload(SystemTime::now()).unwrap();
    let second = leaf(&pair.certificate);
    assert_ne!(first, second);
    let fresh = self::client(&world, false);
    assert_eq!(shake(&server, &fresh, "::1"), (second, HandshakeKind::Full));
    // A session of before goes on.
    assert_eq!(shake(&server, &client, "::1").1, HandshakeKind::Resumed);
}

/// What a client that offers these protocols makes of the server's first words; `Ok`: it is shown a
/// certificate that it trusts.
fn first_words(
    server: &Arc<ServerConfig>,
    client: &Arc<ClientConfig>,
    name: &str,
    alpn: &[&[u8]],
) -> Result<(), rustls::Error> {
    let mut config = (**client).clone();
    config.alpn_protocols = alpn.iter().map(|p| p.to_vec()).collect();
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let mut client = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut server = ServerConnection::new(server.clone()).unwrap();
    let mut wire = Vec::new();
    client.write_tls(&mut wire).unwrap();
    server.read_tls(&mut wire.as_slice()).unwrap();
    // What is wrong is told to the client too.
    let _ = server.process_new_packets();
    wire.clear();
    while server.wants_write() {
        server.write_tls(&mut wire).unwrap();
    }
    client.read_tls(&mut wire.as_slice()).unwrap();
    client.process_new_packets().map(drop)
}

#[test]
fn until_a_certificate_has_come_only_challenges_are_answered() {
    let world = World::new();
    let good = world.issue("awaited", &GOOD, &world.root, "");
    let away = world.dir.join("away");
    std::fs::rename(&good.certificate, &away).unwrap();
    let source = Source {
        awaited: Some(good.clone()),
        ..world.source(&[])
    };
    let now = SystemTime::now();
    Certificates::read(source.clone(), now).unwrap_err();
    let (certificates, why) = Certificates::read_or_wait(source.clone(), now).unwrap();
    assert!(why.unwrap().to_string().contains("cannot read"));
    assert!(!certificates.complete() && certificates.ends().is_empty());

    let server = certificates.server_config().unwrap();
    let client = client(&world, false);
    let h2: &[u8] = b"h2";
    let says = |name: &str, alpn: &[&[u8]]| first_words(&server, &client, name, alpn);
    let nobody = Err(rustls::Error::AlertReceived(
        rustls::AlertDescription::AccessDenied,
    ));
    let shown = certificates.challenges().show("Cloud.example", &[7; 32]);
    assert_eq!(says("cloud.example", &[h2]), nobody);
    assert_eq!(says("other.example", &[ACME_TLS]), nobody);
    // It is shown one that it does not trust, which is all that an ACME server wants.
    for (alpn, seen) in [(&[ACME_TLS][..], true), (&[ACME_TLS, h2], false)] {
        let said = says("cloud.example", alpn);
        let refused = matches!(said, Err(rustls::Error::InvalidCertificate(_)));
        assert_eq!(refused, seen, "{said:?}");
    }
    drop(shown);
    assert_eq!(says("cloud.example", &[ACME_TLS]), nobody);

    std::fs::rename(&away, &good.certificate).unwrap();
    certificates.reload(now).unwrap();
    assert!(certificates.complete());
    assert_eq!(says("cloud.example", &[h2]), Ok(()));
    assert_eq!(says("cloud.example", &[ACME_TLS]), nobody);
    // One that cannot be used any more is awaited again by the next start; others must be good.
    world.write("awaited.pem", "nothing");
    let (_, why) = Certificates::read_or_wait(source.clone(), now).unwrap();
    assert!(why.unwrap().to_string().contains("holds no certificate"));
    let pairs = vec![good];
    Certificates::read_or_wait(Source { pairs, ..source }, now).unwrap_err();
}
