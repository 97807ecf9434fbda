//! A whole cloud in one process.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::SystemTime;

use api::Api;
use argon2::password_hash::{PasswordHasher, SaltString};
use argon2::{Algorithm, Argon2, Params, Version};
use cloud::{Account, Cloud, Credentials, Resource, ScopeWish, Secret, Settings, UNLIMITED};
use edge::{Door, Limits, Way};
use model::{ProjectId, UserId};
use net::{Certificates, Pair, Source};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use serde_json::json;
use store::{Json, Query, Store, Value, row};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::client::Client;
use crate::dir::TempDir;
use crate::dump::Dump;
use crate::node::FakeNode;

/// Everyone's password.
pub const PASSWORD: &str = "correct horse";

/// Who there is in a new test cloud. Each has its name as user name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Person {
    /// Administrator, in project `admin`.
    Admin,
    /// Member of project `alpha`.
    Member,
    /// Reader of project `alpha`.
    Reader,
    /// Member of project `beta`.
    Stranger,
}

impl Person {
    /// User name.
    pub fn name(self) -> &'static str {
        match self {
            Person::Admin => "admin",
            Person::Member => "member",
            Person::Reader => "reader",
            Person::Stranger => "stranger",
        }
    }

    /// The project of the default token.
    pub fn project(self) -> &'static str {
        match self {
            Person::Admin => "admin",
            Person::Member | Person::Reader => "alpha",
            Person::Stranger => "beta",
        }
    }
}

/// A cloud with its APIs on a port of `[::1]`. Dropped, all of it goes.
pub struct TestCloud {
    pub cloud: Cloud,
    /// `https://[::1]:PORT`
    pub url: String,
    /// Where a balancer passes connections on.
    pub balancer: u16,
    /// The identity service's own port.
    pub identity: u16,
    port: u16,
    tls: Arc<ClientConfig>,
    serving: JoinHandle<()>,
    dir: TempDir,
}

impl TestCloud {
    /// A cloud with usual settings.
    pub async fn start() -> TestCloud {
        TestCloud::with(|_| ()).await
    }

    /// A cloud with other settings.
    pub async fn with(change: impl FnOnce(&mut Settings)) -> TestCloud {
        TestCloud::limited(change, Limits::default()).await
    }

    /// A cloud with other settings, in which strangers may take more or less than usual.
    pub async fn limited(change: impl FnOnce(&mut Settings), limits: Limits) -> TestCloud {
        let dir = TempDir::new();
        let database = dir.path().join("hextet.db");
        std::fs::write(&database, template()).unwrap();
        let images = dir.path().join("images");
        std::fs::create_dir(&images).unwrap();
        let listen = || {
            let listener = net::listen("[::1]:0".parse().unwrap()).unwrap();
            let port = listener.local_addr().unwrap().port();
            (listener, port)
        };
        let ((listener, port), (plain, balancer), (own, identity)) = (listen(), listen(), listen());
        let url = format!("https://[::1]:{port}");
        let mut settings = Settings {
            url: url.clone(),
            region: "RegionOne".to_owned(),
            images,
            max_image_bytes: 8 << 20,
            token_lifetime_ms: 3_600_000,
            mtu: 1500,
        };
        change(&mut settings);
        let secret = Secret::new(&Secret::random().unwrap()).unwrap();
        let cloud = Cloud::new(Store::open(&database).unwrap(), settings, secret);
        cloud.use_quota_settings(&roomy()).unwrap();
        let (certificate, key) = (dir.path().join("cert.pem"), dir.path().join("key.pem"));
        std::fs::write(&certificate, &pki().certificate).unwrap();
        std::fs::write(&key, &pki().key).unwrap();
        let ca = dir.path().join("ca.pem");
        std::fs::write(&ca, &pki().authority).unwrap();
        std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
        let source = Source {
            pairs: vec![Pair { certificate, key }],
            ca,
            awaited: None,
            host: "::1".into(),
        };
        let certificates = Certificates::read(source, SystemTime::now()).unwrap();
        let tls = Way::Tls(certificates.server_config().unwrap());
        let door = |listener, way: &Way, prefix| Door {
            listener,
            way: way.clone(),
            prefix,
        };
        let doors = vec![
            door(listener, &tls, ""),
            door(own, &tls, "/identity"),
            door(plain, &Way::Balancer, ""),
        ];
        let api = Arc::new(Api::new(cloud.clone()));
        let serving = tokio::spawn(edge::serve(doors, api, limits, std::future::pending()));
        TestCloud {
            cloud,
            url,
            balancer,
            identity,
            port,
            tls: client_config(&pki().authority),
            serving,
            dir,
        }
    }

    /// A client with a person's token for its own project.
    pub async fn client(&self, person: Person) -> Client {
        self.client_with(Some(&self.token(person))).await
    }

    /// A client with the administrator's token.
    pub async fn admin(&self) -> Client {
        self.client(Person::Admin).await
    }

    /// A client of the member of project `alpha`.
    pub async fn member(&self) -> Client {
        self.client(Person::Member).await
    }

    /// A client of the reader of project `alpha`.
    pub async fn reader(&self) -> Client {
        self.client(Person::Reader).await
    }

    /// A client of the member of project `beta`.
    pub async fn stranger(&self) -> Client {
        self.client(Person::Stranger).await
    }

    /// A client with a connection of its own, and any token or none.
    pub async fn client_with(&self, token: Option<&str>) -> Client {
        let stream = self.connect(b"h2").await;
        Client::new(
            stream,
            format!("[::1]:{}", self.port),
            token.map(str::to_owned),
        )
        .await
    }

    /// A TLS connection on which HTTP/1.1 is expected, octet by octet.
    pub async fn raw(&self) -> TlsStream<TcpStream> {
        self.connect(b"http/1.1").await
    }

    /// A node that has connected.
    pub async fn node(&self, name: &str) -> FakeNode {
        FakeNode::connect(self.cloud.clone(), name).await
    }

    /// A new token for a person's own project.
    pub fn token(&self, person: Person) -> String {
        let credentials = Credentials::Password {
            id: None,
            name: Some(person.name().to_owned()),
            domain: Some("default".to_owned()),
            password: PASSWORD.to_owned(),
        };
        let wish = ScopeWish::Project {
            id: None,
            name: Some(person.project().to_owned()),
            domain: Some("default".to_owned()),
        };
        self.cloud.authenticate(&credentials, &wish).unwrap().1
    }

    /// The id of a person's project.
    pub fn project_id(&self, person: Person) -> String {
        let query = Query::equal("name", Value::Text(person.project().to_owned()));
        let found = self
            .cloud
            .store()
            .read(|tx| tx.list::<row::Project>(&query));
        found.unwrap().pop().unwrap().id.0
    }

    /// A person's id.
    pub fn user_id(&self, person: Person) -> String {
        let query = Query::equal("name", Value::Text(person.name().to_owned()));
        let found = self.cloud.store().read(|tx| tx.list::<row::User>(&query));
        found.unwrap().pop().unwrap().id.0
    }

    /// The id of a role.
    pub fn role_id(&self, name: &str) -> String {
        let query = Query::equal("name", Value::Text(name.to_owned()));
        let found = self.cloud.store().read(|tx| tx.list::<row::Role>(&query));
        found.unwrap().pop().unwrap().id.0
    }

    /// A small image that can be booted; its id.
    pub async fn image(&self, owner: &Client, name: &str) -> String {
        let body = json!({"name": name, "disk_format": "raw", "container_format": "bare"});
        let made = owner.post("/image/v2/images", body).await.expect(201);
        let id = made["id"].as_str().unwrap().to_owned();
        owner.upload(&id, "a disk").await.expect(204);
        id
    }

    /// What contradicts itself in the records.
    pub fn findings(&self) -> Vec<String> {
        let audit = cloud::audit(self.cloud.store()).unwrap();
        audit.findings.into_iter().map(|f| f.what).collect()
    }

    /// Everything that is in the database.
    pub fn dump(&self) -> Dump {
        Dump::of(&self.dir.path().join("hextet.db"))
    }

    /// Names of the files that hold the data of images.
    pub fn image_files(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.images()).unwrap();
        let names = entries.map(|e| e.unwrap().file_name().to_string_lossy().into_owned());
        let mut names: Vec<String> = names.collect();
        names.sort();
        names
    }

    /// Where the data of images lies.
    pub fn images(&self) -> PathBuf {
        self.dir.path().join("images")
    }

    async fn connect(&self, protocol: &[u8]) -> TlsStream<TcpStream> {
        self.connect_to(self.port, protocol).await
    }

    /// A TLS connection to one of the cloud's ports.
    pub async fn connect_to(&self, port: u16, protocol: &[u8]) -> TlsStream<TcpStream> {
        self.connect_saying(port, protocol, b"").await
    }

    /// One on which the first words come in one piece with the last of the handshake.
    pub async fn connect_saying(
        &self,
        port: u16,
        protocol: &[u8],
        words: &[u8],
    ) -> TlsStream<TcpStream> {
        let mut config = (*self.tls).clone();
        config.alpn_protocols = vec![protocol.to_vec()];
        let stream = TcpStream::connect(("::1", port)).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let name = ServerName::try_from("::1").unwrap();
        TlsConnector::from(Arc::new(config))
            .connect_with(name, stream, |session| {
                std::io::Write::write_all(&mut session.writer(), words).unwrap();
            })
            .await
            .unwrap()
    }
}

impl Drop for TestCloud {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// No limit of what tests make many of.
fn roomy() -> BTreeMap<Resource, i64> {
    let many = [
        Resource::Instances,
        Resource::Cores,
        Resource::Ram,
        Resource::Router,
        Resource::SecurityGroup,
        Resource::ServerGroups,
        Resource::Volumes,
        Resource::Gigabytes,
    ];
    many.map(|resource| (resource, UNLIMITED)).into()
}

/// The process's certificates: made once, because keys cost time.
struct Pki {
    authority: String,
    certificate: String,
    key: String,
}

fn pki() -> &'static Pki {
    static PKI: OnceLock<Pki> = OnceLock::new();
    PKI.get_or_init(|| {
        let authority = net::Authority::new("hextet test authority").unwrap();
        let issued = authority.issue(&["::1".to_owned()]).unwrap();
        Pki {
            authority: authority.certificate(),
            certificate: issued.certificate,
            key: issued.key,
        }
    })
}

fn client_config(authority: &str) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    for certificate in rustls_pemfile::certs(&mut authority.as_bytes()) {
        roots.add(certificate.unwrap()).unwrap();
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    Arc::new(config)
}

/// A database that was set up, as a file's octets. It is filled once in a process.
fn template() -> &'static [u8] {
    static TEMPLATE: OnceLock<Vec<u8>> = OnceLock::new();
    TEMPLATE.get_or_init(|| {
        let dir = TempDir::new();
        let file = dir.path().join("template.db");
        let store = Store::open(&file).unwrap();
        let account = Account {
            user: "admin".to_owned(),
            password: PASSWORD.to_owned(),
            project: "admin".to_owned(),
        };
        cloud::set_up(&store, &account).unwrap();
        populate(&store);
        // The last connection to go writes the log back into the file.
        drop(store);
        std::fs::read(&file).unwrap()
    })
}

fn populate(store: &Store) {
    let hash = quick_hash();
    let fill = |tx: &mut store::Tx<'_>| {
        let mut admin: row::User = tx.list(&Query::all())?.pop().unwrap();
        admin.password_hash = Some(hash.clone());
        tx.update(&admin)?;
        for name in ["alpha", "beta"] {
            tx.insert(&row::Project {
                id: ProjectId::random(),
                domain_id: "default".into(),
                name: name.to_owned(),
                description: String::new(),
                enabled: true,
                parent_id: "default".to_owned(),
                tags: Json(Vec::new()),
            })?;
        }
        for (person, role) in [
            (Person::Member, "member"),
            (Person::Reader, "reader"),
            (Person::Stranger, "member"),
        ] {
            add_person(tx, person, role, &hash)?;
        }
        Ok(())
    };
    store.write(fill).unwrap();
}

fn add_person(tx: &mut store::Tx<'_>, person: Person, role: &str, hash: &str) -> model::Result<()> {
    let named = |name: &str| Query::equal("name", Value::Text(name.to_owned()));
    let project: row::Project = tx.list(&named(person.project()))?.pop().unwrap();
    let role: row::Role = tx.list(&named(role))?.pop().unwrap();
    let user = row::User {
        id: UserId::random(),
        domain_id: "default".into(),
        name: person.name().to_owned(),
        description: String::new(),
        email: None,
        enabled: true,
        default_project_id: None,
        password_hash: Some(hash.to_owned()),
        tokens_after_ms: 0,
        created_ms: cloud::now_ms(),
    };
    tx.insert(&user)?;
    tx.insert(&row::Assignment {
        id: format!("{}/{}/project/{}", role.id, user.id, project.id),
        role_id: role.id,
        user_id: user.id,
        target_kind: "project".to_owned(),
        target_id: project.id.0,
    })
}

/// [`PASSWORD`], hashed at the least cost there is: a hash carries its own cost.
fn quick_hash() -> String {
    let salt = SaltString::encode_b64(b"only for tests").unwrap();
    Argon2::new(
        Algorithm::Argon2id,
        Version::V0x13,
        Params::new(8, 1, 1, None).unwrap(),
    )
    .hash_password(PASSWORD.as_bytes(), &salt)
    .unwrap()
    .to_string()
}
