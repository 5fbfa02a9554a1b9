// A stand-in for Flagsmith's frontend (node ./api/index.js) that behaves like it
// where a cluster can see it: routes, proxying of the API, what a failing proxy
// answers, idle connections, and what SIGTERM does.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

const (
	defaultPort = "8080"
	// Node closes an idle connection after 5 s (server.keepAliveTimeout).
	keepAliveTimeout = 5 * time.Second
	// The page for every path the server does not know, as a single-page application has it.
	page = "<!DOCTYPE html><html><head><title>Flagsmith</title></head><body><div id=\"app\"></div></body></html>\n"
)

func main() {
	log.SetFlags(0)
	log.SetOutput(os.Stdout)
	// Node as process 1 without a handler does not react to SIGTERM: the pod takes
	// its whole grace period. Go would exit.
	signal.Ignore(syscall.SIGTERM)

	mux := http.NewServeMux()
	mux.HandleFunc("/health", func(w http.ResponseWriter, _ *http.Request) {
		log.Print("Healthcheck complete")
		fmt.Fprint(w, "OK")
	})
	mux.HandleFunc("/version", version)
	mux.HandleFunc("/config/project-overrides", overrides)
	mux.HandleFunc("/", index)
	if target := os.Getenv("FLAGSMITH_PROXY_API_URL"); target != "" {
		api, err := url.Parse(target)
		if err != nil || api.Host == "" {
			log.Fatalf("FLAGSMITH_PROXY_API_URL is not a URL: %s", target)
		}
		proxy := newProxy(api)
		mux.Handle("/api/v1", proxy)
		mux.Handle("/api/v1/", proxy)
	}

	port := os.Getenv("PORT")
	if port == "" {
		port = defaultPort
	}
	server := &http.Server{Addr: ":" + port, Handler: mux, IdleTimeout: keepAliveTimeout}
	log.Printf("Server listening on: %s", port)
	log.Fatal(server.ListenAndServe())
}

// newProxy passes requests on without any timeout of its own, like the real one.
func newProxy(api *url.URL) *httputil.ReverseProxy {
	return &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(api)
			r.SetXForwarded()
		},
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			host := r.Header.Get("X-Forwarded-Host") // r is the request to the API by now.
			log.Printf("[HPM] Error occurred while proxying request %s%s to %s [%s]", host, r.URL.Path, api, err)
			w.WriteHeader(status(err))
			fmt.Fprintf(w, "Error occurred while trying to proxy: %s%s", host, r.URL.RequestURI())
		},
	}
}

// status maps a failure as http-proxy-middleware 3 does: no connection or a lost one
// is 504 (not 502), an answer that is not HTTP is 502, anything else 500.
func status(err error) int {
	var dns *net.DNSError
	var timeout net.Error
	switch {
	case errors.As(err, &dns),
		errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.ETIMEDOUT),
		errors.As(err, &timeout) && timeout.Timeout(),
		strings.HasSuffix(err.Error(), "EOF"):
		return http.StatusGatewayTimeout
	case strings.Contains(err.Error(), "malformed HTTP"):
		return http.StatusBadGateway
	}
	return http.StatusInternalServerError
}

// version answers with the release of the image, from the same file as the real one.
func version(w http.ResponseWriter, _ *http.Request) {
	answer := map[string]any{"ci_commit_sha": "Unknown", "image_tag": "Unknown"}
	if sha, err := os.ReadFile("CI_COMMIT_SHA"); err == nil {
		answer["ci_commit_sha"] = strings.TrimSpace(string(sha))
	}
	var manifest map[string]string
	if text, err := os.ReadFile(".versions.json"); err == nil && json.Unmarshal(text, &manifest) == nil {
		answer["image_tag"], answer["package_versions"] = manifest["."], manifest
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	_ = json.NewEncoder(w).Encode(answer)
}

// overrides tells the page where the API is.
func overrides(w http.ResponseWriter, _ *http.Request) {
	api := os.Getenv("FLAGSMITH_API_URL")
	proxied := os.Getenv("FLAGSMITH_PROXY_API_URL") != ""
	if proxied {
		api = "/api/v1/"
	}
	w.Header().Set("Content-Type", "application/javascript")
	fmt.Fprintf(w, "window.projectOverrides = {api: %q, apiProxyEnabled: %t};\n", api, proxied)
}

func index(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	fmt.Fprint(w, page)
}
