//! A dual-stack network from end to end: leases, SNAT, floating IPs and metadata with real guests.

use crate::host::{Host, guest};

#[test]
fn guests_have_both_families() {
    let mut host = Host::new();
    host.up();
    let more = guest();
    for stage in ["make", "reach"] {
        host.script("dual.py", stage, &[("HOST_GUEST", &more)]);
    }
}
