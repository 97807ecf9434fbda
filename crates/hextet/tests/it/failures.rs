//! What fails, fails with a status and a sentence; delete works afterwards, and nothing is left.
//! What needs no whole cloud is tested nearer to where it is: docs/failures.md lists all.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;
use std::thread::sleep;
use std::time::{Duration, Instant};

use http::Method;
use serde_json::{Value, json};

use crate::api::Api;
use crate::host::Host;

const SERVERS: &str = "/compute/v2.1/servers";
const VOLUMES: &str = "/volume/v3/volumes";
const PATIENCE: Duration = Duration::from_secs(60);

/// A directory of programs, which goes with the test's host.
fn programs(host: &Host, names: &[&str]) -> PathBuf {
    let dir = host.root.with_extension("bin");
    fs::create_dir_all(&dir).unwrap();
    fs::set_permissions(&dir, PermissionsExt::from_mode(0o755)).unwrap();
    for name in names {
        let there =
            ["/usr/sbin", "/usr/bin", "/sbin", "/bin"].map(|dir| PathBuf::from(dir).join(name));
        let program = there.iter().find(|path| path.exists()).unwrap();
        symlink(program, dir.join(name)).unwrap();
    }
    dir
}

fn create_server(api: &mut Api, image: &str) -> String {
    let network = api.id("/network/v2.0/networks", "private").unwrap();
    let image = api.id("/image/v2/images", image).unwrap();
    let flavor = api.id("/compute/v2.1/flavors", "m1.nano").unwrap();
    let wanted = json!({"server": {"name": "fails", "imageRef": image, "flavorRef": flavor,
                        "networks": [{"uuid": network}]}});
    let (status, made) = api.ask(Method::POST, SERVERS, Some(wanted)).unwrap();
    assert_eq!(status, 202, "{made}");
    format!("{SERVERS}/{}", made["server"]["id"].as_str().unwrap())
}

/// Waits until a thing has one of these states.
fn until(api: &mut Api, path: &str, kind: &str, states: &[&str]) -> Value {
    let end = Instant::now() + PATIENCE;
    loop {
        let (status, body) = api.ask(Method::GET, path, None).unwrap();
        assert_eq!(status, 200, "{path}: {body}");
        if states.iter().any(|state| body[kind]["status"] == *state) {
            return body[kind].clone();
        }
        assert!(
            Instant::now() < end,
            "not {states:?}: {body}\n{}",
            api.log()
        );
        sleep(Duration::from_millis(30));
    }
}

fn delete(api: &mut Api, path: &str) {
    let (status, said) = api.ask(Method::DELETE, path, None).unwrap();
    assert!(status < 300, "{path}: {status} {said}");
    let end = Instant::now() + PATIENCE;
    while api.ask(Method::GET, path, None).unwrap().0 != 404 {
        assert!(Instant::now() < end, "{path} is still there\n{}", api.log());
        sleep(Duration::from_millis(30));
    }
}

/// What a tenant reads: never a path of the host.
fn fault(server: &Value) -> String {
    let fault = &server["fault"];
    let text = format!("{} {}", fault["message"], fault["details"]);
    let temporary = std::env::temp_dir();
    assert!(!text.contains(temporary.to_str().unwrap()), "{text}");
    text
}

#[test]
fn a_qemu_that_exits_at_once_is_told_with_its_words() {
    let mut host = Host::new();
    let bin = programs(&host, &["nft", "qemu-img"]);
    let qemu = bin.join("qemu-system-x86_64");
    fs::write(
        &qemu,
        "#!/bin/sh\necho 'the board is on fire' >&2\nexit 1\n",
    )
    .unwrap();
    fs::set_permissions(&qemu, PermissionsExt::from_mode(0o755)).unwrap();
    host.start(&[("PATH", bin.to_str().unwrap())]);
    let mut api = Api::new(&host);
    api.prepare();
    let server = create_server(&mut api, "blank");
    let failed = until(&mut api, &server, "server", &["ERROR"]);
    assert!(fault(&failed).contains("the board is on fire"), "{failed}");
    delete(&mut api, &server);
    fs::remove_dir_all(bin).unwrap();
}

#[test]
fn without_tgtd_volumes_fail_and_servers_do_not() {
    let mut host = Host::new();
    let bin = programs(&host, &["nft", "qemu-img", "qemu-system-x86_64"]);
    host.start(&[("PATH", bin.to_str().unwrap())]);
    let mut api = Api::new(&host);
    api.prepare();
    let wanted = json!({"volume": {"name": "fails", "size": 1}});
    let (status, made) = api.ask(Method::POST, VOLUMES, Some(wanted)).unwrap();
    assert_eq!(status, 202, "{made}");
    let volume = format!("{VOLUMES}/{}", made["volume"]["id"].as_str().unwrap());
    until(&mut api, &volume, "volume", &["error"]);
    assert!(
        api.log().contains("install the package tgt"),
        "{}",
        api.log()
    );
    delete(&mut api, &volume);
    let server = create_server(&mut api, "blank");
    until(&mut api, &server, "server", &["ACTIVE"]);
    delete(&mut api, &server);
    fs::remove_dir_all(bin).unwrap();
}

#[test]
fn an_image_with_another_content_or_none_makes_no_server() {
    let mut host = Host::new();
    host.up();
    let mut api = Api::new(&host);
    api.prepare();
    let image = api.id("/image/v2/images", "blank").unwrap();
    let file = host.root.join("var/lib/hextet/images").join(&image);
    fs::write(&file, vec![1; 1 << 20]).unwrap();
    let server = create_server(&mut api, "blank");
    let failed = until(&mut api, &server, "server", &["ERROR"]);
    assert!(fault(&failed).contains("SHA-512"), "{failed}");
    assert!(host.findings().contains("is not what its checksum says"));
    delete(&mut api, &server);

    // It is deleted while a server is made of it: that has it already, or says what it lacks.
    fs::write(&file, vec![0; 1 << 20]).unwrap();
    let server = create_server(&mut api, "blank");
    delete(&mut api, &format!("/image/v2/images/{image}"));
    let built = until(&mut api, &server, "server", &["ACTIVE", "ERROR"]);
    assert!(
        built["status"] == "ACTIVE" || fault(&built).contains(&image),
        "{built}"
    );
    delete(&mut api, &server);
}

#[test]
fn a_full_disk_is_told_and_goes_on_once_there_is_room() {
    let mut host = Host::on_disk_of("64m");
    host.up();
    let mut api = Api::new(&host);
    api.prepare();
    api.upload("full", &vec![7; 4 << 20]);
    let disk = nix::sys::statvfs::statvfs(&host.root).unwrap();
    let free = disk.blocks_available() * disk.fragment_size();
    // Room for records, and not for a disk made of the image.
    let filler = host.root.join("filler");
    fs::write(&filler, vec![1; free as usize - (3 << 20)]).unwrap();
    let server = create_server(&mut api, "full");
    let failed = until(&mut api, &server, "server", &["ERROR"]);
    assert!(fault(&failed).contains("No space left"), "{failed}");
    // A refused upload is not read to its end: its connection goes with it.
    let (status, said) = Api::new(&host).try_upload("more", &vec![7; 4 << 20]);
    assert!((400..600).contains(&status), "{status} {said}");
    delete(&mut api, &server);
    fs::remove_file(filler).unwrap();
    let server = create_server(&mut api, "full");
    until(&mut api, &server, "server", &["ACTIVE"]);
    delete(&mut api, &server);
}

#[test]
fn what_purge_took_is_told_and_stands_in_nobodys_way() {
    let mut host = Host::new();
    host.up();
    let mut api = Api::new(&host);
    api.prepare();
    let wanted = json!({"volume": {"name": "purged", "size": 1}});
    let (status, made) = api.ask(Method::POST, VOLUMES, Some(wanted)).unwrap();
    assert_eq!(status, 202, "{made}");
    let id = made["volume"]["id"].as_str().unwrap();
    let volume = format!("{VOLUMES}/{id}");
    until(&mut api, &volume, "volume", &["available"]);
    let server = create_server(&mut api, "blank");
    until(&mut api, &server, "server", &["ACTIVE"]);
    let attachments = format!("{server}/os-volume_attachments");
    let wanted = json!({"volumeAttachment": {"volumeId": id}});
    let (status, said) = api.ask(Method::POST, &attachments, Some(wanted)).unwrap();
    assert_eq!(status, 200, "{said}");
    until(&mut api, &volume, "volume", &["in-use"]);
    drop(api);

    host.kill();
    assert!(host.hextet(&["node", "purge"]).status.success());
    host.up();
    let mut api = Api::new(&host);
    let failed = until(&mut api, &server, "server", &["ERROR"]);
    let said = fault(&failed);
    assert!(
        said.contains(&format!("volume {id}: its data is gone")),
        "{said}"
    );
    assert!(said.contains("detached and deleted"), "{said}");
    let (status, said) = api
        .ask(Method::DELETE, &format!("{attachments}/{id}"), None)
        .unwrap();
    assert_eq!(status, 202, "{said}");
    let lost = until(&mut api, &volume, "volume", &["error"]);
    let said = lost["metadata"]["fault"].as_str().unwrap();
    assert!(said.contains("its data is gone"), "{said}");
    delete(&mut api, &volume);
    let again = json!({"reboot": {"type": "HARD"}});
    let (status, said) = api
        .ask(Method::POST, &format!("{server}/action"), Some(again))
        .unwrap();
    assert_eq!(status, 202, "{said}");
    until(&mut api, &server, "server", &["ACTIVE"]);
    delete(&mut api, &server);
}
