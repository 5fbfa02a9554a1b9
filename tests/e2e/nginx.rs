//! A real nginx that serves the Ingresses of a namespace as a controller would: hosts, paths, and the Services behind them.

use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
    process::{Child, Command},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{JoinHandle, sleep, spawn},
    time::Duration,
};

use serde_json::Value;

use crate::{
    http::{self, Response},
    kubectl::{json, pointer, try_json, wait_until},
};

/// It has read its configuration.
const STARTS: Duration = Duration::from_secs(10);

const ADDRESS: &str = "127.0.0.1";
const PORT: u16 = 18_090;

/// How often it is seen whether there are other Ingresses, as a controller watches them.
const SYNC: Duration = Duration::from_secs(1);

pub struct Nginx {
    port: u16,
    process: Child,
    directory: PathBuf,
    ended: Arc<AtomicBool>,
    controller: Option<JoinHandle<()>>,
}

impl Nginx {
    /// Serves what is there, now and later.
    pub fn serve(namespace: &'static str) -> Self {
        let root =
            std::env::var("PROXIES").unwrap_or_else(|_| panic!("PROXIES is not set: make trial-settings"));
        let directory = std::env::temp_dir().join(format!("e2e-nginx-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        std::fs::write(directory.join("nginx.conf"), configuration(namespace, &directory)).unwrap();
        let libraries = format!("{root}/usr/lib/x86_64-linux-gnu:{root}/lib/x86_64-linux-gnu");
        let process = Command::new(format!("{root}/usr/sbin/nginx"))
            .env("LD_LIBRARY_PATH", libraries)
            .arg("-p")
            .arg(&directory)
            .arg("-c")
            .arg(directory.join("nginx.conf"))
            .arg("-e")
            .arg(directory.join("error.log"))
            .spawn()
            .unwrap();
        let ended = Arc::<AtomicBool>::default();
        let controller = Some(spawn({
            let (ended, directory, process) =
                (Arc::clone(&ended), directory.clone(), process.id().to_string());
            move || {
                let mut known = configuration(namespace, &directory);
                while !ended.load(Ordering::Relaxed) {
                    sleep(SYNC);
                    let now = configuration(namespace, &directory);
                    if now != known {
                        std::fs::write(directory.join("nginx.conf"), &now).unwrap();
                        assert!(Command::new("kill").args(["-HUP", &process]).status().unwrap().success());
                        known = now;
                    }
                }
            }
        }));
        let nginx = Self { port: PORT, process, directory, ended, controller };
        wait_until(STARTS, "nginx answers", || {
            let answer = nginx.get("nobody.example.com", "/", &[]);
            (answer.status == 404).then_some(()).ok_or(answer.body)
        });
        nginx
    }

    pub fn get(&self, host: &str, path: &str, headers: &[(&str, &str)]) -> Response {
        http::get(ADDRESS, self.port, path, &[&[("Host", host)], headers].concat())
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        if let Some(controller) = self.controller.take() {
            let _ = controller.join();
        }
        // By SIGKILL its workers would go on, and hold the port.
        let _ = Command::new("kill").arg(self.process.id().to_string()).status();
        let _ = self.process.wait();
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

/// Of two Ingresses with one host the older one has it, as with the controllers.
fn configuration(namespace: &str, directory: &Path) -> String {
    let work = directory.display();
    let mut text = format!(
        "daemon off; worker_processes 1; pid {work}/nginx.pid; error_log {work}/error.log warn;
events {{ worker_connections 256; }}
http {{
  access_log off;
  client_body_temp_path {work}/body; proxy_temp_path {work}/proxy; fastcgi_temp_path {work}/f;
  uwsgi_temp_path {work}/u; scgi_temp_path {work}/s;
  server {{ listen {ADDRESS}:{PORT} default_server; return 404; }}
"
    );
    let ingresses = json(&["-n", namespace, "get", "ingress", "--sort-by=.metadata.creationTimestamp"]);
    for rule in pointer(&ingresses, "/items").as_array().unwrap().iter().flat_map(rules) {
        writeln!(
            text,
            "  server {{ listen {ADDRESS}:{PORT}; server_name {};",
            rule["host"].as_str().unwrap()
        )
        .unwrap();
        for path in pointer(rule, "/http/paths").as_array().unwrap() {
            assert_eq!(path["pathType"], "Prefix");
            let (path, backend) = (path["path"].as_str().unwrap(), pointer(path, "/backend/service"));
            let (service, port) =
                (service(namespace, backend["name"].as_str().unwrap()), pointer(backend, "/port/number"));
            let way =
                format!("{{ proxy_pass http://{service}:{port}; proxy_set_header Host $http_host; }}\n");
            match path.trim_end_matches('/') {
                "" => write!(text, "    location / {way}").unwrap(),
                path => write!(text, "    location = {path} {way}    location {path}/ {way}").unwrap(),
            }
        }
        text.push_str("    root /nonexistent;\n  }\n");
    }
    text + "}\n"
}

/// The cluster address of a Service; one that is not there yet is nobody's.
fn service(namespace: &str, name: &str) -> String {
    let found = try_json(&["-n", namespace, "get", "service", name]);
    found
        .and_then(|it| Some(pointer(&it, "/spec/clusterIP").as_str()?.to_owned()))
        .unwrap_or_else(|| ADDRESS.to_owned())
}

fn rules(ingress: &Value) -> &[Value] {
    pointer(ingress, "/spec/rules").as_array().map_or(&[], Vec::as_slice)
}
