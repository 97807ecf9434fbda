//! The daemons whose configuration is read: which files each is given, and whether it is here.

use crate::parse;
use crate::release::Packages;
use crate::tree::{File, Tree};

/// A daemon of OpenStack.
#[derive(Debug)]
pub(crate) struct Daemon {
    pub(crate) name: &'static str,
    pub(crate) project: &'static str,
    /// Files that distributions give it by `--config-file`, where its unit does not say; none when
    /// oslo.config's defaults are left to work.
    pub(crate) files: &'static [&'static str],
}

const fn plain(name: &'static str, project: &'static str) -> Daemon {
    Daemon {
        name,
        project,
        files: &[],
    }
}

const fn neutron(name: &'static str, files: &'static [&'static str]) -> Daemon {
    Daemon {
        name,
        project: "neutron",
        files,
    }
}

const NEUTRON: &str = "/etc/neutron/neutron.conf";
const ML2: &str = "/etc/neutron/plugins/ml2/ml2_conf.ini";

/// All that are looked at.
pub(crate) const DAEMONS: &[Daemon] = &[
    plain("nova-api", "nova"),
    plain("nova-api-metadata", "nova"),
    plain("nova-compute", "nova"),
    plain("nova-conductor", "nova"),
    plain("nova-scheduler", "nova"),
    plain("nova-novncproxy", "nova"),
    plain("nova-spicehtml5proxy", "nova"),
    plain("nova-serialproxy", "nova"),
    neutron("neutron-server", &[NEUTRON, ML2]),
    neutron("neutron-api", &[NEUTRON, ML2]),
    neutron(
        "neutron-openvswitch-agent",
        &[NEUTRON, "/etc/neutron/plugins/ml2/openvswitch_agent.ini"],
    ),
    neutron(
        "neutron-linuxbridge-agent",
        &[NEUTRON, "/etc/neutron/plugins/ml2/linuxbridge_agent.ini"],
    ),
    neutron("neutron-l3-agent", &[NEUTRON, "/etc/neutron/l3_agent.ini"]),
    neutron(
        "neutron-dhcp-agent",
        &[NEUTRON, "/etc/neutron/dhcp_agent.ini"],
    ),
    neutron(
        "neutron-metadata-agent",
        &[NEUTRON, "/etc/neutron/metadata_agent.ini"],
    ),
    neutron(
        "neutron-ovn-metadata-agent",
        &[NEUTRON, "/etc/neutron/neutron_ovn_metadata_agent.ini"],
    ),
    plain("cinder-api", "cinder"),
    plain("cinder-volume", "cinder"),
    plain("cinder-scheduler", "cinder"),
    plain("cinder-backup", "cinder"),
    plain("glance-api", "glance"),
    plain("glance-registry", "glance"),
    plain("keystone", "keystone"),
    plain("placement-api", "placement"),
    plain("heat-api", "heat"),
    plain("heat-api-cfn", "heat"),
    plain("heat-engine", "heat"),
];

/// Names of packages that are not called as the daemon they bring.
const PACKAGES: [(&str, &str); 4] = [
    ("nova-novncproxy", "nova-consoleproxy"),
    ("nova-spicehtml5proxy", "nova-consoleproxy"),
    ("nova-serialproxy", "nova-consoleproxy"),
    ("neutron-api", "neutron-server"),
];

impl Daemon {
    /// Whether this host runs it, as far as its packages, units and init scripts say.
    pub(crate) fn is_here(&self, tree: &Tree, packages: &Packages) -> bool {
        let brought = PACKAGES
            .iter()
            .any(|(name, package)| *name == self.name && packages.has(package));
        brought
            || packages.has(self.name)
            || tree.exists(&format!("/etc/init.d/{}", self.name))
            || !self.units(tree).is_empty()
    }

    /// Whether a web server runs it in its own process: then what it would listen on does not count.
    pub(crate) fn is_hosted(&self, tree: &Tree) -> bool {
        let project = self.project;
        let uwsgi = [
            format!("/etc/{project}/{}-uwsgi.ini", self.name),
            format!("/etc/uwsgi/apps-enabled/{}.ini", self.name),
            format!("/etc/{project}/{project}-uwsgi.ini"),
        ];
        // Apache's names are not regular (`keystone-wsgi-public.conf`, `00-nova_api.conf`).
        let word = self.name.replace('-', "_");
        let apache = ["/etc/apache2/sites-enabled", "/etc/httpd/conf.d"]
            .iter()
            .any(|directory| {
                tree.names(directory)
                    .iter()
                    .any(|name| name.replace('-', "_").contains(&word))
            });
        apache || uwsgi.iter().any(|path| tree.exists(path))
    }

    /// What starts it: units, what overrides them, and the files Debian's scripts read.
    pub(crate) fn units(&self, tree: &Tree) -> Vec<File> {
        let mut out = Vec::new();
        for unit in [self.name.to_owned(), format!("openstack-{}", self.name)] {
            for directory in [
                "/lib/systemd/system",
                "/usr/lib/systemd/system",
                "/etc/systemd/system",
            ] {
                out.extend(tree.file(&format!("{directory}/{unit}.service")));
                out.extend(tree.files(&format!("{directory}/{unit}.service.d"), ".conf"));
            }
        }
        out
    }

    /// The command's arguments as far as they are written down: the last place that says them.
    pub(crate) fn arguments(&self, tree: &Tree) -> Vec<String> {
        let mut found = Vec::new();
        for unit in self.units(tree) {
            for setting in parse::ini(&unit.text) {
                if setting.key == "ExecStart" && setting.value.contains("--config-") {
                    found = setting.words().map(str::to_owned).collect();
                }
            }
        }
        let defaults = tree.file(&format!("/etc/default/{}", self.name));
        for setting in defaults.iter().flat_map(|file| parse::shell(&file.text)) {
            if setting.value.contains("--config-") {
                found = setting.words().map(str::to_owned).collect();
            }
        }
        found
    }
}
