# The commands of README.md. CARGO_TARGET_DIR may lie outside the checkout.
TARGET := $(or $(CARGO_TARGET_DIR),target)
VENV := $(TARGET)/venv
GUEST := $(TARGET)/guest
HEXTET := $(TARGET)/release/hextet
export CARGO_TARGET_DIR := $(abspath $(TARGET))
export HEXTET_OPENSTACK := $(abspath $(VENV))/bin/openstack
export HEXTET_GUEST := $(abspath $(GUEST))

.PHONY: build test test-slow lint unit demo bench bench-lan bench-edge crash-matrix tempest tempest-scenario fuzz guest prepare clean

build:
	cargo build --release --locked -p hextet

# Everything that must hold before a change lands.
test: prepare guest lint build unit

# What takes minutes, and `make test` leaves out: Debian 12 and 13 boot from disks made by mmdebstrap and finish cloud-init.
test-slow: prepare build
	guest/debian bookworm $(TARGET)/debian
	guest/debian trixie $(TARGET)/debian
	HEXTET_DEBIAN=$(abspath $(TARGET))/debian cargo test --locked -p hextet --test it -- --ignored --nocapture cloud_init

# Debian packages by apt when root, Python packages in a venv; says what is missing otherwise.
prepare:
	tools/prepare $(VENV)

guest: prepare
	guest/build $(GUEST)

lint: prepare
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	cd fuzz && CARGO_TARGET_DIR=$(abspath $(TARGET))/fuzz cargo check --locked
	tools/deny $(TARGET)

unit: guest build
	HEXTET_BINARY=$(abspath $(HEXTET)) tools/tests

demo: build guest
	$(HEXTET) demo --guest $(GUEST) $(if $(KEEP),--keep)

bench: build guest
	cargo run --release --locked -p testkit --bin bench -- --hextet $(HEXTET) --guest $(GUEST)

# What guests meet on their link, beside radvd, Kea, dnsmasq and rules one after the other. ONLY=PART measures one part.
bench-lan: prepare
	@for p in radvd kea-dhcp6 dnsmasq; do command -v $$p >/dev/null || { apt-get install -y -qq --no-install-recommends radvd kea-dhcp6-server dnsmasq-base >/dev/null; break; }; done
	cargo run --release --locked -p testkit --bin bench_lan -- $(if $(ONLY),--only $(ONLY))

# TLS at hextet's edge and at Debian's haproxy in front of the same hextet.
bench-edge: prepare build
	cargo run --release --locked -p testkit --bin bench_edge -- --hextet $(HEXTET)

# Kills hextet between any two of its steps; `make test` tries a few of them.
crash-matrix: guest
	HEXTET_CRASH_MATRIX=all cargo test --locked -p hextet --test it crash:: -- --nocapture

# OpenStack's own network tests against a cloud with fake nodes; with LIST=FILE those that the file has, by name.
tempest: build
	tools/tempest $(HEXTET) $(TARGET)/tempest $(LIST)

# The same with real servers, which tempest logs in to: its scenarios of networks. Needs root.
tempest-scenario: build guest
	GUEST=$(GUEST) tools/tempest $(HEXTET) $(TARGET)/tempest $(LIST)

# Fuzzes one target after another, each for SECONDS, from fuzz/seeds and what earlier runs found. It needs a nightly
# compiler and cargo-fuzz; what breaks a target is kept below fuzz/artifacts.
SECONDS := 60
fuzz: export CARGO_TARGET_DIR := $(abspath $(TARGET))/fuzz
fuzz:
	cargo +nightly fuzz build
	set -e; for target in $$(cargo +nightly fuzz list); do \
	    mkdir -p fuzz/corpus/$$target fuzz/seeds/$$target; \
	    cargo +nightly fuzz run $$target fuzz/corpus/$$target fuzz/seeds/$$target -- \
	        -max_total_time=$(SECONDS) -print_final_stats=1; \
	done

clean:
	cargo clean
