//! OpenStack's options that hold addresses, release by release.
//!
//! Each row was checked in the project's source at the tags it cites.

use crate::release::Release;

/// What an option's value is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// An address to listen on.
    Listen,
    /// An address of this host that others are told.
    Own,
    /// An iSCSI portal's address: brackets depend on the release.
    Portal,
    /// Servers of memcached.
    Memcached,
    /// A host, an address or a URL of somebody else.
    Peer,
    /// What only `rules` understands.
    Ruled,
}

/// An option.
#[derive(Debug)]
pub(crate) struct Opt {
    pub(crate) project: &'static str,
    pub(crate) section: &'static str,
    pub(crate) name: &'static str,
    pub(crate) role: Role,
    /// What counts when it is not set; empty when that is harmless.
    pub(crate) default: &'static str,
    /// Which daemons use it: its default matters where one of them runs.
    pub(crate) daemons: &'static [&'static str],
    /// The release that no longer has it.
    pub(crate) until: Release,
    pub(crate) source: &'static str,
}

/// An option's former name.
#[derive(Debug)]
pub(crate) struct Renamed {
    pub(crate) project: &'static str,
    pub(crate) old: (&'static str, &'static str),
    pub(crate) new: (&'static str, &'static str),
    /// The first release with the new name.
    pub(crate) since: Release,
    /// The first release that no longer reads the old one.
    pub(crate) gone: Release,
    pub(crate) source: &'static str,
}

const LATER: Release = Release::NEVER;

const fn listen(
    project: &'static str,
    (section, name): (&'static str, &'static str),
    default: &'static str,
    daemons: &'static [&'static str],
    until: Release,
    source: &'static str,
) -> Opt {
    Opt {
        project,
        section,
        name,
        role: Role::Listen,
        default,
        daemons,
        until,
        source,
    }
}

const fn other(
    project: &'static str,
    (section, name): (&'static str, &'static str),
    role: Role,
    default: &'static str,
    daemons: &'static [&'static str],
    source: &'static str,
) -> Opt {
    Opt {
        project,
        section,
        name,
        role,
        default,
        daemons,
        until: LATER,
        source,
    }
}

const SERVICE: &str =
    "openstack/nova nova/conf/service.py, 15.0.0 to 31.0.0; gone in 32.0.0 (2025.2)";
const VNC: &str = "openstack/nova nova/conf/vnc.py, 15.0.0 to 33.0.0";
const SPICE: &str = "openstack/nova nova/conf/spice.py, 15.0.0 to 33.0.0";
const SERIAL: &str = "openstack/nova nova/conf/serial_console.py, 15.0.0 to 33.0.0";
const MY_IP: &str = "the default is oslo_utils.netutils.get_my_ipv4(): openstack/nova nova/conf/netconf.py, openstack/cinder cinder/common/config.py";
const DRIVER: &str = "openstack/cinder cinder/volume/driver.py, 12.0.0 to 28.0.0";
const ML2_OVS: &str =
    "openstack/neutron neutron/conf/plugins/ml2/drivers/ovs_conf.py, 10.0.0 to 28.0.0";
const BRIDGE: &str = "openstack/neutron neutron/conf/plugins/ml2/drivers/linuxbridge.py, 10.0.0 to 25.0.0; gone in 26.0.0 (2025.1)";
const METADATA: &str = "openstack/neutron neutron/conf/agent/metadata/config.py, 11.0.0 to 28.0.0";
const OVN: &str =
    "openstack/neutron neutron/conf/plugins/ml2/drivers/ovn/ovn_conf.py, 16.0.0 to 28.0.0";
const HEAT: &str = "openstack/heat heat/common/wsgi.py, 8.0.0 to 24.0.0; gone in 25.0.0 (2025.2)";
const EVENTLET: &str = "openstack/keystone keystone/conf/eventlet_server.py, 11.0.0 to 24.0.0; gone in 25.0.0 (2024.1)";
const TOKEN: &str = "openstack/keystonemiddleware keystonemiddleware/auth_token/_opts.py";
const CACHE: &str = "openstack/oslo.cache oslo_cache/_opts.py";

/// The options with a role of their own. All others are judged by what their values look like.
#[rustfmt::skip]
pub(crate) const OPTIONS: &[Opt] = &[
    listen("nova", ("DEFAULT", "osapi_compute_listen"), "0.0.0.0", &["nova-api"], Release::R2025_2, SERVICE),
    listen("nova", ("DEFAULT", "metadata_listen"), "0.0.0.0", &["nova-api", "nova-api-metadata"], Release::R2025_2, SERVICE),
    listen("nova", ("vnc", "novncproxy_host"), "0.0.0.0", &["nova-novncproxy"], LATER, VNC),
    listen("nova", ("DEFAULT", "novncproxy_host"), "", &[], LATER, VNC),
    other("nova", ("vnc", "novncproxy_base_url"), Role::Peer, "http://127.0.0.1:6080/", &["nova-compute"], VNC),
    listen("nova", ("vnc", "xvpvncproxy_host"), "", &[], Release::USSURI, "openstack/nova nova/conf/vnc.py, 15.0.0 to 20.0.0; gone in 21.0.0 (Ussuri)"),
    listen("nova", ("vnc", "server_listen"), "127.0.0.1", &["nova-compute"], LATER, VNC),
    listen("nova", ("vnc", "vncserver_listen"), "", &[], Release::YOGA, VNC),
    other("nova", ("vnc", "server_proxyclient_address"), Role::Own, "127.0.0.1", &["nova-compute"], VNC),
    other("nova", ("vnc", "vncserver_proxyclient_address"), Role::Own, "", &[], VNC),
    listen("nova", ("spice", "html5proxy_host"), "0.0.0.0", &["nova-spicehtml5proxy"], LATER, SPICE),
    listen("nova", ("spice", "server_listen"), "127.0.0.1", &["nova-compute"], LATER, SPICE),
    other("nova", ("spice", "server_proxyclient_address"), Role::Own, "127.0.0.1", &["nova-compute"], SPICE),
    listen("nova", ("serial_console", "serialproxy_host"), "0.0.0.0", &["nova-serialproxy"], LATER, SERIAL),
    other("nova", ("serial_console", "proxyclient_address"), Role::Own, "127.0.0.1", &["nova-compute"], SERIAL),
    other("nova", ("DEFAULT", "my_ip"), Role::Own, "this host's IPv4 address", &["nova-compute"], MY_IP),
    other("nova", ("DEFAULT", "my_block_storage_ip"), Role::Own, "", &[], "openstack/nova nova/conf/netconf.py, 15.0.0 to 33.0.0"),
    other("nova", ("libvirt", "live_migration_inbound_addr"), Role::Own, "", &[], "openstack/nova nova/conf/libvirt.py, 15.0.0 to 33.0.0"),
    other("cinder", ("DEFAULT", "my_ip"), Role::Own, "this host's IPv4 address", &["cinder-volume"], MY_IP),
    listen("cinder", ("DEFAULT", "osapi_volume_listen"), "0.0.0.0", &["cinder-api"], LATER, "openstack/cinder cinder/service.py, 10.0.0 to 28.0.0"),
    other("cinder", ("*", "iscsi_ip_address"), Role::Portal, "", &[], "openstack/cinder cinder/volume/driver.py, 10.0.0 to 13.0.0"),
    other("cinder", ("*", "target_ip_address"), Role::Portal, "", &[], DRIVER),
    other("cinder", ("*", "iscsi_secondary_ip_addresses"), Role::Portal, "", &[], DRIVER),
    other("cinder", ("*", "target_secondary_ip_addresses"), Role::Portal, "", &[], DRIVER),
    listen("glance", ("DEFAULT", "bind_host"), "0.0.0.0", &["glance-api"], Release::R2026_2, "openstack/glance glance/common/wsgi.py, 14.0.0 to 32.0.0; gone after 32.0.0 (2026.1)"),
    other("glance", ("DEFAULT", "registry_host"), Role::Peer, "", &[], "openstack/glance glance/registry/__init__.py, to 20.0.0; gone in 21.0.0 (Victoria)"),
    listen("neutron", ("DEFAULT", "bind_host"), "0.0.0.0", &["neutron-server"], Release::R2026_2, "openstack/neutron neutron/conf/common.py, 10.0.0 to 28.0.0; gone after 28.0.0 (2026.1)"),
    other("neutron", ("ovs", "local_ip"), Role::Own, "", &[], ML2_OVS),
    listen("neutron", ("ovs", "of_listen_address"), "", &[], LATER, ML2_OVS),
    other("neutron", ("vxlan", "local_ip"), Role::Own, "", &[], BRIDGE),
    other("neutron", ("vxlan", "vxlan_group"), Role::Ruled, "", &[], BRIDGE),
    other("neutron", ("DEFAULT", "nova_metadata_host"), Role::Peer, "127.0.0.1", &["neutron-metadata-agent", "neutron-ovn-metadata-agent"], METADATA),
    other("neutron", ("ovn", "ovn_nb_connection"), Role::Peer, "", &[], OVN),
    other("neutron", ("ovn", "ovn_sb_connection"), Role::Peer, "", &[], OVN),
    listen("heat", ("heat_api", "bind_host"), "0.0.0.0", &["heat-api"], Release::R2025_2, HEAT),
    listen("heat", ("heat_api_cfn", "bind_host"), "0.0.0.0", &["heat-api-cfn"], Release::R2025_2, HEAT),
    listen("keystone", ("eventlet_server", "public_bind_host"), "", &[], Release::R2024_1, EVENTLET),
    listen("keystone", ("eventlet_server", "admin_bind_host"), "", &[], Release::R2024_1, EVENTLET),
    other("*", ("keystone_authtoken", "memcached_servers"), Role::Memcached, "", &[], TOKEN),
    other("*", ("cache", "memcache_servers"), Role::Memcached, "", &[], CACHE),
];

/// Options that were renamed.
#[rustfmt::skip]
pub(crate) const RENAMED: &[Renamed] = &[
    Renamed { project: "cinder", old: ("*", "iscsi_ip_address"), new: ("*", "target_ip_address"), since: Release::QUEENS, gone: Release::STEIN,
        source: "openstack/cinder cinder/volume/driver.py: both names in 12.0.0 (Queens), the new one alone from 14.0.0 (Stein)" },
    Renamed { project: "nova", old: ("vnc", "vncserver_listen"), new: ("vnc", "server_listen"), since: Release::QUEENS, gone: Release::YOGA,
        source: "openstack/nova nova/conf/vnc.py: both names in 17.0.0 (Queens), the new one alone from 25.0.0 (Yoga)" },
    Renamed { project: "nova", old: ("vnc", "vncserver_proxyclient_address"), new: ("vnc", "server_proxyclient_address"), since: Release::QUEENS, gone: Release::YOGA,
        source: "openstack/nova nova/conf/vnc.py: both names in 17.0.0 (Queens), the new one alone from 25.0.0 (Yoga)" },
    Renamed { project: "neutron", old: ("DEFAULT", "nova_metadata_ip"), new: ("DEFAULT", "nova_metadata_host"), since: Release::PIKE, gone: Release::QUEENS,
        source: "openstack/neutron neutron/conf/agent/metadata/config.py: both names in 11.0.0 (Pike), the new one alone from 12.0.0 (Queens)" },
];

/// The row of a setting.
pub(crate) fn option(project: &str, section: &str, name: &str) -> Option<&'static Opt> {
    OPTIONS.iter().find(|opt| {
        opt.name == name
            && [project, "*"].contains(&opt.project)
            && (opt.section == "*" || opt.section.eq_ignore_ascii_case(section))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_found_by_project_section_and_name() {
        assert_eq!(
            option("nova", "VNC", "novncproxy_host").map(|o| o.role),
            Some(Role::Listen)
        );
        assert_eq!(
            option("cinder", "lvm-1", "target_ip_address").map(|o| o.role),
            Some(Role::Portal)
        );
        assert_eq!(
            option("heat", "cache", "memcache_servers").map(|o| o.role),
            Some(Role::Memcached)
        );
        assert!(option("glance", "vnc", "novncproxy_host").is_none());
        for renamed in RENAMED {
            assert!(renamed.since < renamed.gone);
        }
    }
}
