//! Files that are hostile, unreadable, or no text.

use doctor::{HostsFile, render};

use crate::dir::Dir;

#[test]
fn what_files_say_steers_no_terminal() {
    let dir = Dir::new();
    dir.write(
        "etc/nova/nova.conf",
        "[DEFAULT]\n\u{1b}]0;x\u{7}a\u{202e} = http://192.0.2.1/\n",
    );
    let report = doctor::openstack(&dir.etc(), None, &HostsFile::default(), 0).unwrap();
    assert!(!report.findings.is_empty());
    for text in [
        render::text(&report.findings),
        render::json(&report.findings),
        report.diff,
    ] {
        let steers = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
        assert!(!text.contains(steers), "{text:?}");
        assert!(!text.contains("\\u001b"), "{text:?}");
    }
}

#[test]
fn passwords_are_not_shown() {
    let dir = Dir::new();
    dir.write(
        "etc/nova/nova.conf",
        "[DEFAULT]\ntransport_url = rabbit://nova:geheim@192.0.2.1:5672,nova:geheim@fd00::1:5672/\n",
    );
    let report = doctor::openstack(&dir.etc(), None, &HostsFile::default(), 0).unwrap();
    assert!(report.findings.len() > 1);
    assert!(!render::text(&report.findings).contains("geheim"));
    assert!(!render::json(&report.findings).contains("geheim"));
}

#[test]
fn octets_that_are_no_text_are_read_over() {
    let dir = Dir::new();
    std::fs::create_dir_all(dir.etc().join("nova")).unwrap();
    let bytes = b"[DEFAULT]\nx = \xff\xfe\nosapi_compute_listen = 0.0.0.0\n";
    std::fs::write(dir.etc().join("nova/nova.conf"), bytes).unwrap();
    let release = "yoga".parse().ok();
    let report = doctor::openstack(&dir.etc(), release, &HostsFile::default(), 0).unwrap();
    assert_eq!(report.findings[0].kind.id, "bind-ipv4-any");
    // Such a file's lines cannot be written into a diff.
    assert_eq!(report.diff, "");
}

#[test]
fn what_cannot_be_read_is_told() {
    // Root reads everything; a directory where a file should be is no file for anybody.
    let dir = Dir::new();
    dir.write("etc/nova/nova.conf/inside", "");
    let report = doctor::openstack(&dir.etc(), None, &HostsFile::default(), 0).unwrap();
    assert!(report.findings.is_empty());
    let huge = std::fs::File::create(dir.path().join("etc/hosts")).unwrap();
    huge.set_len(1 << 30).unwrap();
    let report = doctor::openstack(&dir.etc(), None, &HostsFile::default(), 0).unwrap();
    assert!(
        report.unread[0].starts_with("cannot read /etc/hosts: "),
        "{:?}",
        report.unread
    );
}

#[test]
fn no_beginning_of_a_file_breaks_a_parser() {
    use doctor::{Config, parse};
    let cases = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    for entry in std::fs::read_dir(cases).unwrap() {
        let whole = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        let ends = whole.char_indices().map(|(at, _)| at).step_by(31);
        for text in ends.map(|end| &whole[..end]) {
            let parsers = [
                parse::apache,
                parse::hosts,
                parse::ini,
                parse::pairs,
                parse::dnsmasq,
                parse::words,
                parse::options,
                parse::haproxy,
                parse::erlang,
                parse::python,
                parse::radvd,
                parse::shell,
            ];
            let mut found: Vec<_> = parsers.iter().flat_map(|parser| parser(text)).collect();
            let oslo = parse::oslo(text).unwrap_or_default();
            let mut config = Config::default();
            config.add("f", &oslo);
            found.extend(oslo);
            for setting in found {
                assert!(1 <= setting.line && setting.line <= setting.last);
                let _ = config.get(&setting.section, &setting.key);
            }
        }
    }
}

#[test]
fn a_fix_is_the_line_to_write() {
    let dir = Dir::new();
    dir.write(
        "etc/nova/nova.conf",
        "[vnc]\nnovncproxy_base_url = http://a.example:6080/vnc_auto.html\n[glance]\nendpoint_override=https://192.0.2.1:9292/\n",
    );
    dir.write("etc/mysql/my.cnf", "[mysqld]\nbind-address  = 0.0.0.0\n");
    let report = doctor::openstack(&dir.etc(), None, &HostsFile::default(), 0).unwrap();
    let fixes: Vec<&str> = report.findings.iter().map(|f| f.fix.as_str()).collect();
    assert_eq!(
        fixes,
        [
            "bind-address  = ::",
            "novncproxy_base_url = https://a.example:6080/vnc_auto.html",
            "endpoint_override=https://NAME:9292/ (NAME with an AAAA record, or [ADDRESS])",
        ]
    );
}
