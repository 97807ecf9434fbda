//! What there is a limit of.

use model::ProjectId;
use serde::{Deserialize, Serialize};
use store::{Amount, Field, row};

use super::UNLIMITED;

/// Whose API shows and sets a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    Compute,
    Network,
    Volume,
}

/// What there is a limit of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Resource {
    Instances,
    Cores,
    /// In MiB.
    Ram,
    /// Of one user.
    KeyPairs,
    /// Of one server.
    MetadataItems,
    ServerGroups,
    /// Of one group.
    ServerGroupMembers,
    InjectedFiles,
    InjectedFileContentBytes,
    InjectedFilePathBytes,
    FixedIps,
    Network,
    Subnet,
    Port,
    Router,
    SecurityGroup,
    SecurityGroupRule,
    #[serde(rename = "floatingip")]
    FloatingIp,
    #[serde(rename = "subnetpool")]
    SubnetPool,
    RbacPolicy,
    Trunk,
    Volumes,
    /// Of all volumes together.
    Gigabytes,
}

use Resource as R;

/// Everything there is a limit of, with its name, its service and the limit that the service has
/// where nobody has set another.
const ALL: [(Resource, &str, Service, i64); 23] = [
    (R::Instances, "instances", Service::Compute, 10),
    (R::Cores, "cores", Service::Compute, 20),
    (R::Ram, "ram", Service::Compute, 51_200),
    (R::KeyPairs, "key_pairs", Service::Compute, 100),
    (R::MetadataItems, "metadata_items", Service::Compute, 128),
    (R::ServerGroups, "server_groups", Service::Compute, 10),
    (
        R::ServerGroupMembers,
        "server_group_members",
        Service::Compute,
        10,
    ),
    (R::InjectedFiles, "injected_files", Service::Compute, 5),
    (
        R::InjectedFileContentBytes,
        "injected_file_content_bytes",
        Service::Compute,
        10_240,
    ),
    (
        R::InjectedFilePathBytes,
        "injected_file_path_bytes",
        Service::Compute,
        255,
    ),
    (R::FixedIps, "fixed_ips", Service::Compute, UNLIMITED),
    (R::Network, "network", Service::Network, 100),
    (R::Subnet, "subnet", Service::Network, 100),
    (R::Port, "port", Service::Network, 500),
    (R::Router, "router", Service::Network, 10),
    (R::SecurityGroup, "security_group", Service::Network, 10),
    (
        R::SecurityGroupRule,
        "security_group_rule",
        Service::Network,
        100,
    ),
    (R::FloatingIp, "floatingip", Service::Network, 50),
    (R::SubnetPool, "subnetpool", Service::Network, UNLIMITED),
    (R::RbacPolicy, "rbac_policy", Service::Network, 10),
    (R::Trunk, "trunk", Service::Network, UNLIMITED),
    (R::Volumes, "volumes", Service::Volume, 10),
    (R::Gigabytes, "gigabytes", Service::Volume, 1000),
];

impl Resource {
    /// Its name in settings, in the database and in its service's API.
    pub fn name(self) -> &'static str {
        self.line().1
    }

    /// The resource with a name.
    pub fn named(name: &str) -> Option<Resource> {
        let found = ALL.iter().find(|(_, known, _, _)| *known == name);
        found.map(|(resource, ..)| *resource)
    }

    /// All of a service.
    pub fn of(service: Service) -> impl Iterator<Item = Resource> + Clone {
        let theirs = ALL.iter().filter(move |(_, _, of, _)| *of == service);
        theirs.map(|(resource, ..)| *resource)
    }

    /// The limit where nobody has set another.
    pub fn built_in(self) -> i64 {
        self.line().3
    }

    pub(super) fn service(self) -> Service {
        self.line().2
    }

    fn line(self) -> &'static (Resource, &'static str, Service, i64) {
        // A test finds every variant in its own place.
        &ALL[self as usize]
    }

    /// What a project has of it. What is counted for a user, a server or a group is none of the
    /// project's.
    pub(super) fn amount(self, project: &ProjectId) -> Option<Amount> {
        let (column, of) = ("project_id", project.to_value());
        Some(match self {
            R::Instances => Amount::count::<row::Server>(column, of),
            R::Cores => Amount::sum::<row::Server>("vcpus", column, of),
            R::Ram => Amount::sum::<row::Server>("ram_mib", column, of),
            R::ServerGroups => Amount::count::<row::ServerGroup>(column, of),
            R::Network => Amount::count::<row::Network>(column, of),
            R::Subnet => Amount::count::<row::Subnet>(column, of),
            R::Port => Amount::count::<row::Port>(column, of),
            R::Router => Amount::count::<row::Router>(column, of),
            R::SecurityGroup => Amount::count::<row::SecurityGroup>(column, of),
            R::SecurityGroupRule => Amount::count::<row::Rule>(column, of),
            R::Volumes => Amount::count::<row::Volume>(column, of),
            R::Gigabytes => Amount::sum::<row::Volume>("size_gib", column, of),
            R::FloatingIp => Amount::count::<row::FloatingIp>(column, of),
            R::SubnetPool => Amount::count::<row::SubnetPool>(column, of),
            R::RbacPolicy => Amount::count::<row::RbacPolicy>(column, of),
            R::Trunk => Amount::count::<row::Trunk>(column, of),
            R::KeyPairs
            | R::MetadataItems
            | R::ServerGroupMembers
            | R::InjectedFiles
            | R::InjectedFileContentBytes
            | R::InjectedFilePathBytes
            | R::FixedIps => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_resource_has_its_line_and_one_name() {
        for (place, (resource, name, _, most)) in ALL.iter().enumerate() {
            assert_eq!(*resource as usize, place, "{name}");
            assert_eq!(serde_json::to_value(resource).unwrap(), *name);
            assert_eq!(Resource::named(name), Some(*resource));
            assert!(*most >= UNLIMITED);
        }
    }
}
