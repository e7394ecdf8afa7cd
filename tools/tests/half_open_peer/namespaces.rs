//! Two network namespaces, and the addresses between them.

use std::fs;
use std::process::{Command, Stdio};

use reconnecting_stream_tools::program::{are_installed, skip};

/// Two namespaces with a wire between them; gone when the test ends, however it ends.
pub(crate) struct Namespaces {
    name: String,
}

impl Namespaces {
    /// `None` if the system does not allow it, which is said aloud.
    pub(crate) fn new(test: &str) -> Option<Self> {
        if !are_installed(&["ip"]) {
            return None;
        }
        let namespaces = Self {
            name: format!("rs{}{test}", std::process::id()),
        };
        let (server, client) = (namespaces.server(), namespaces.client());
        if !ip(&["netns", "add", &server]) {
            skip("may not make network namespaces (not root?)");
            return None;
        }
        assert!(ip(&["netns", "add", &client]));
        let wire = ["type", "veth", "peer", "name", "v", "netns", &client];
        let ends = [&["-n", &server, "link", "add", "v"], &wire[..]].concat();
        assert!(ip(&ends));
        for (namespace, host) in [(&server, 2), (&client, 1)] {
            for network in ["192.0.2", "198.51.100"] {
                let address = format!("{network}.{host}/24");
                assert!(ip(&["-n", namespace, "addr", "add", &address, "dev", "v"]));
            }
            for link in ["v", "lo"] {
                assert!(ip(&["-n", namespace, "link", "set", link, "up"]));
            }
        }
        Some(namespaces)
    }

    pub(crate) fn server(&self) -> String {
        format!("{}s", self.name)
    }

    pub(crate) fn client(&self) -> String {
        format!("{}c", self.name)
    }

    /// What `/etc/hosts` is for the client.
    pub(crate) fn hosts(&self) -> String {
        format!("/etc/netns/{}", self.client())
    }

    pub(crate) fn set_host(&self, name: &str, address: &str) {
        fs::create_dir_all(self.hosts()).unwrap();
        let file = format!("{}/hosts", self.hosts());
        fs::write(file, format!("{address} {name}\n")).unwrap();
    }

    /// Takes an address of the server away.
    pub(crate) fn take_away(&self, address: &str) {
        Self::take_away_from(&self.server(), address);
    }

    pub(crate) fn take_away_from(namespace: &str, address: &str) {
        let address = format!("{address}/24");
        assert!(ip(&["-n", namespace, "addr", "del", &address, "dev", "v"]));
    }
}

impl Drop for Namespaces {
    fn drop(&mut self) {
        for namespace in [self.server(), self.client()] {
            ip(&["netns", "del", &namespace]);
        }
        let _ = fs::remove_dir_all(self.hosts());
    }
}

pub(crate) fn ip(args: &[&str]) -> bool {
    let ip = Command::new("ip").args(args).stderr(Stdio::null()).status();
    ip.unwrap().success()
}
