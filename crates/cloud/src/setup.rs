//! What a new cloud begins with: the default domain, the roles, an administrator, a few flavors.

use model::{DomainId, Error, FlavorId, ProjectId, Result, RoleId, UserId};
use store::{Json, Store, row};

use crate::assignment::{Target, assignment};
use crate::{now_ms, password, role};

/// The administrator's account.
#[derive(Clone, Debug)]
pub struct Account {
    pub user: String,
    pub password: String,
    pub project: String,
}

/// Fills an empty store, in one transaction.
///
/// # Errors
/// `Conflict` when it is not empty.
pub fn set_up(store: &Store, account: &Account) -> Result<()> {
    let hash = password::hash(&account.password)?;
    store.write(|tx| {
        if tx.exists::<row::Domain>(store::Query::all())? {
            return Err(Error::conflict("the database is already set up"));
        }
        let domain = DomainId::from("default");
        tx.insert(&row::Domain {
            id: domain.clone(),
            name: "Default".into(),
            description: "The default domain".into(),
            enabled: true,
        })?;
        let project = ProjectId::random();
        tx.insert(&row::Project {
            id: project.clone(),
            domain_id: domain.clone(),
            name: account.project.clone(),
            description: "The administrators' project".into(),
            enabled: true,
            parent_id: domain.0.clone(),
            tags: Json(Vec::new()),
        })?;
        let user = UserId::random();
        tx.insert(&row::User {
            id: user.clone(),
            domain_id: domain.clone(),
            name: account.user.clone(),
            description: "The first administrator".into(),
            email: None,
            enabled: true,
            default_project_id: Some(project.clone()),
            password_hash: Some(hash.clone()),
            tokens_after_ms: 0,
            created_ms: now_ms(),
        })?;
        for name in role::BUILT_IN {
            let id = RoleId::random();
            tx.insert(&row::Role {
                id: id.clone(),
                name: name.into(),
                description: String::new(),
            })?;
            if name == "admin" {
                for target in [
                    Target::Project(project.clone()),
                    Target::Domain(domain.clone()),
                    Target::System,
                ] {
                    tx.insert(&assignment(&id, &user, &target))?;
                }
            }
        }
        for (id, name, vcpus, ram_mib, disk_gib) in FLAVORS {
            tx.insert(&row::Flavor {
                id: FlavorId::from(*id),
                name: (*name).to_owned(),
                description: None,
                vcpus: *vcpus,
                ram_mib: *ram_mib,
                disk_gib: *disk_gib,
                public: true,
                extra_specs: Json::default(),
            })?;
        }
        Ok(())
    })
}

/// Id, name, virtual processors, MiB of memory, GiB of root disk.
const FLAVORS: &[(&str, &str, u32, u32, u32)] = &[
    ("42", "m1.nano", 1, 128, 1),
    ("84", "m1.micro", 1, 192, 1),
    ("1", "m1.tiny", 1, 512, 1),
    ("2", "m1.small", 1, 2048, 20),
    ("3", "m1.medium", 2, 4096, 40),
    ("4", "m1.large", 4, 8192, 80),
];
