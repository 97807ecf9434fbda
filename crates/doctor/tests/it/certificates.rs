//! Certificates that the configuration names, made anew.

use doctor::HostsFile;
use net::Authority;

use crate::dir::Dir;

/// What is found about a certificate, with the authority that clients are told to trust.
fn found(certificate: &str, cafile: &str, now_s: i64) -> Vec<&'static str> {
    let dir = Dir::new();
    dir.write("etc/glance/glance-api.conf", "[DEFAULT]\nbind_host = ::\n[ssl]\ncert_file = /etc/ssl/server.pem\n[keystone_authtoken]\ncafile = /etc/ssl/ca.pem\n");
    dir.write("etc/ssl/server.pem", certificate);
    dir.write("etc/ssl/ca.pem", cafile);
    let release = "yoga".parse().ok();
    let report = doctor::openstack(&dir.etc(), release, &HostsFile::default(), now_s).unwrap();
    report
        .findings
        .iter()
        .map(|finding| finding.kind.id)
        .collect()
}

fn now_s() -> i64 {
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap();
    i64::try_from(now.as_secs()).unwrap()
}

#[test]
fn certificates_are_judged() {
    let ours = Authority::new("ours").unwrap();
    let theirs = Authority::new("theirs").unwrap();
    let none: [&str; 0] = [];
    let good = ours
        .issue(&["cloud.example".to_owned()])
        .unwrap()
        .certificate;
    assert_eq!(found(&good, &ours.certificate(), now_s()), none);
    assert_eq!(
        found(&good, &theirs.certificate(), now_s()),
        ["certificate-foreign"]
    );
    let later = now_s() + 4000 * 86_400;
    assert_eq!(
        found(&good, &ours.certificate(), later),
        ["certificate-expired"]
    );
    let v4 = ours.issue(&["192.0.2.1".to_owned()]).unwrap().certificate;
    assert_eq!(
        found(&v4, &ours.certificate(), now_s()),
        ["certificate-without-name"]
    );
    let v6 = ours.issue(&["2001:db8::1".to_owned()]).unwrap().certificate;
    assert_eq!(found(&v6, &ours.certificate(), now_s()), none);
    let own = found(&ours.certificate(), &ours.certificate(), now_s());
    assert_eq!(own, ["certificate-without-name", "certificate-self-signed"]);
    assert_eq!(found("no certificate", "", now_s()), none);
}
