//! The daemons whose configuration is read: which files each is given, and whether it is here.

use crate::parse;
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

impl Daemon {
    /// Whether this host runs it, as far as its units and init scripts say. That a package of the name
    /// is installed says nothing: Debian's neutron-server is an empty one.
    pub(crate) fn is_here(&self, tree: &Tree) -> bool {
        if let Some(script) = self.script(tree) {
            return starts(tree, self.name, &script);
        }
        let wanted = tree.names("/etc/systemd/system/multi-user.target.wants");
        let names = [
            format!("{}.service", self.name),
            format!("openstack-{}.service", self.name),
        ];
        names.iter().any(|name| wanted.contains(name)) || !self.units(tree).is_empty()
    }

    /// Its init script: Debian's units start it by that.
    pub(crate) fn script(&self, tree: &Tree) -> Option<File> {
        tree.file(&format!("/etc/init.d/{}", self.name))
    }

    /// Whether a web server runs it in its own process: then what it would listen on does not count.
    pub(crate) fn is_hosted(&self, tree: &Tree) -> bool {
        // Apache's names are not regular (`keystone-wsgi-public.conf`, `00-nova_api.conf`).
        let word = self.name.replace('-', "_");
        let apache = ["/etc/apache2/sites-enabled", "/etc/httpd/conf.d"]
            .iter()
            .any(|directory| {
                tree.names(directory)
                    .iter()
                    .any(|name| name.replace('-', "_").contains(&word))
            });
        let uwsgi = match self.script(tree) {
            // Further down all scripts have `UWSGI_PORT=${RET}`.
            Some(script) => parse::shell(&script.text)
                .iter()
                .any(|s| s.key == "UWSGI_PORT" && s.value.parse::<u16>().is_ok()),
            None => tree.exists(&format!("/etc/{}/{}-uwsgi.ini", self.project, self.name)),
        };
        apache || uwsgi || tree.exists(&format!("/etc/uwsgi/apps-enabled/{}.ini", self.name))
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

/// Whether a script starts anything. Those of console proxies end at once unless /etc/default says
/// `NOVA_CONSOLE_PROXY_TYPE=novnc` (or `spicehtml5`), `NOVA_SERIAL_PROXY_START=true`.
fn starts(tree: &Tree, name: &str, script: &File) -> bool {
    let kind = name.trim_start_matches("nova-").trim_end_matches("proxy");
    let (option, wanted) = match () {
        () if script.text.contains("NOVA_SERIAL_PROXY_START") => {
            ("NOVA_SERIAL_PROXY_START", "true")
        }
        () if script.text.contains("NOVA_CONSOLE_PROXY_TYPE") => ("NOVA_CONSOLE_PROXY_TYPE", kind),
        () => return true,
    };
    let defaults = tree.file("/etc/default/nova-consoleproxy");
    let settings = defaults
        .map(|file| parse::shell(&file.text))
        .unwrap_or_default();
    settings
        .iter()
        .any(|s| s.key == option && s.value.eq_ignore_ascii_case(wanted))
}
