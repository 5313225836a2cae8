package apitest

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"sesame/gen/api"
)

const deployment = "../../docs/deployment/"

// manifest is a part of a YAML document.
type manifest map[string]any

func (m manifest) at(path string) any {
	var value any = m
	for _, key := range strings.Split(path, ".") {
		object, _ := value.(manifest)
		value = object[key]
	}
	return value
}

func (m manifest) text(path string) string {
	text, _ := m.at(path).(string)
	return text
}

// items are the elements of a list of objects.
func (m manifest) items(path string) (items []manifest) {
	list, _ := m.at(path).([]any)
	for _, item := range list {
		object, _ := item.(manifest)
		items = append(items, object)
	}
	return items
}

func readManifest(t *testing.T, file string) (m manifest) {
	t.Helper()
	text, err := os.ReadFile(deployment + file)
	if err != nil {
		t.Fatal(err)
	}
	if err = yaml.Unmarshal(text, &m); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	return m
}

// subset reports whether a selector selects what has labels.
func subset(selector, labels any) bool {
	s, _ := selector.(manifest)
	l, _ := labels.(manifest)
	for key, value := range s {
		if l[key] != value {
			return false
		}
	}
	return len(s) > 0
}

// cluster is what the manifests for Kubernetes declare.
type cluster struct {
	kustomization, deployment, pod, container manifest
	generated                                 map[string][]string // keys by the name of a ConfigMap or Secret
}

func readCluster(t *testing.T) (c cluster) {
	t.Helper()
	c = cluster{kustomization: readManifest(t, "kubernetes/kustomization.yaml"), deployment: readManifest(t, "kubernetes/deployment.yaml"), generated: map[string][]string{}}
	c.pod, _ = c.deployment.at("spec.template.spec").(manifest)
	c.container = c.pod.items("containers")[0]
	for _, kind := range []string{"configMapGenerator", "secretGenerator"} {
		for _, source := range c.kustomization.items(kind) {
			name := source.text("name")
			for _, file := range append(texts(source["files"]), texts(source["envs"])...) {
				key, _, named := strings.Cut(file, "=")
				switch {
				case named:
				case strings.HasSuffix(file, ".env"):
					for variable := range variables(t, "kubernetes/"+file) {
						c.generated[name] = append(c.generated[name], variable)
					}
					continue
				default:
					key = filepath.Base(file)
				}
				c.generated[name] = append(c.generated[name], key)
			}
		}
	}
	return c
}

func texts(value any) (list []string) {
	items, _ := value.([]any)
	for _, item := range items {
		list = append(list, item.(string))
	}
	return list
}

// variables reads a file of NAME=value lines.
func variables(t *testing.T, file string) environment {
	t.Helper()
	text, err := os.ReadFile(deployment + file)
	if err != nil {
		t.Fatal(err)
	}
	e := environment{}
	for line := range strings.Lines(string(text)) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok && !strings.HasPrefix(name, "#") {
			e[name] = value
		}
	}
	return e
}

// Each name that a manifest uses is one that another declares, and selectors select the pods.
func TestTheManifestsFitTogether(t *testing.T) {
	t.Parallel()
	c := readCluster(t)
	labels := c.deployment.at("spec.template.metadata.labels")
	for file, path := range map[string]string{
		"deployment": "spec.selector.matchLabels", "service": "spec.selector", "disruptionbudget": "spec.selector.matchLabels", "networkpolicy": "spec.podSelector.matchLabels",
	} {
		if !subset(readManifest(t, "kubernetes/"+file+".yaml").at(path), labels) {
			t.Errorf("%s.yaml does not select the pods", file)
		}
	}
	listed := append(texts(c.kustomization["resources"]), "kustomization.yaml", "bootstrap.yaml")
	found, err := filepath.Glob(deployment + "kubernetes/*.yaml")
	if err != nil || len(found) != len(listed) {
		t.Errorf("%v: there are %d files, and %d are listed", err, len(found), len(listed))
	}
	for _, file := range found {
		if !slices.Contains(listed, filepath.Base(file)) {
			t.Errorf("%s is not in kustomization.yaml", file)
		}
	}
	volumes, ports := map[string]string{}, []string{}
	for _, v := range c.pod.items("volumes") {
		volumes[v.text("name")] = v.text("secret.secretName") + v.text("configMap.name")
	}
	files := []string{}
	for _, mount := range c.container.items("volumeMounts") {
		keys, ok := c.generated[volumes[mount.text("name")]]
		if !ok {
			t.Errorf("the mount %s has no volume that is generated", mount.text("name"))
		}
		for _, key := range keys {
			files = append(files, mount.text("mountPath")+"/"+key)
		}
	}
	for _, port := range c.container.items("ports") {
		ports = append(ports, port.text("name"))
	}
	used := []string{readManifest(t, "kubernetes/service.yaml").items("spec.ports")[0].text("targetPort")}
	for _, probe := range []string{"startupProbe", "livenessProbe", "readinessProbe"} {
		used = append(used, c.container.text(probe+".httpGet.port"))
		if path := c.container.text(probe + ".httpGet.path"); path != "/healthz" && path != "/readyz" {
			t.Errorf("%s asks for %s", probe, path)
		}
	}
	for _, port := range used {
		if !slices.Contains(ports, port) {
			t.Errorf("the port %q is none of the container", port)
		}
	}
	for name, value := range c.settings(t) {
		if !slices.Contains(settingNames(), name) {
			t.Errorf("%s is not a setting", name)
		}
		if strings.HasSuffix(name, "_FILE") && !slices.Contains(files, value) {
			t.Errorf("%s=%s is not mounted; mounted are %v", name, value, files)
		}
	}
	dockerfile, err := os.ReadFile(deployment + "image/Dockerfile")
	if err != nil || !strings.Contains(string(dockerfile), "\nUSER 65532:65532\n") || c.pod.at("securityContext.runAsUser") != 65532 || c.pod.at("securityContext.fsGroup") != 65532 {
		t.Errorf("%v: the pods do not run as the user of the image", err)
	}
}

// settings are those of the pods; those from secrets have no value.
func (c cluster) settings(t *testing.T) environment {
	t.Helper()
	e := variables(t, "kubernetes/settings.env")
	for _, from := range c.container.items("envFrom") {
		name := from.text("configMapRef.name") + from.text("secretRef.name")
		keys, ok := c.generated[name]
		if !ok {
			t.Errorf("%s is not generated", name)
		}
		for _, key := range keys {
			e[key] += ""
		}
	}
	for _, variable := range c.container.items("env") {
		e[variable.text("name")] = variable.text("value")
	}
	return e
}

// serves starts a server with the settings of a manifest and checks that the first administrator can log in. mounted is the
// folder of the secrets in the container.
func serves(t *testing.T, settings environment, bootstrap, mounted string) {
	t.Helper()
	text, err := os.ReadFile(deployment + bootstrap)
	if err != nil {
		t.Fatal(err)
	}
	d := declare(t, strings.ReplaceAll(string(text), mounted+"/", ""))
	d.write(t, "master.key", testKey()+"\n")
	settings["SESAME_BOOTSTRAP_FILE"], settings["SESAME_MASTER_KEY_FILE"], settings["SESAME_MASTER_KEY"] = d.file(), filepath.Join(d.folder, "master.key"), ""
	settings["SESAME_LISTEN"] = "127.0.0.1:0"
	databaseURL := postgresURL(t)
	delete(settings, "SESAME_DATABASE_URL")
	var list []string
	for name, value := range settings {
		list = append(list, name+"="+value)
	}
	s := start(t, databaseURL, list...)
	grant := passwordGrant("root", horse)
	grant.form.Set("scope", "users:write")
	if got := decode[api.Token](s.do(t, grant).want(200)).Scope; got != "users:write" {
		t.Errorf("the administrator has %s", got)
	}
}

func TestASesameWithTheSettingsOfTheManifests(t *testing.T) {
	t.Parallel()
	settings := readCluster(t).settings(t)
	settings["SESAME_SMTP_URL"] = "smtp://mail.example.com"
	serves(t, settings, "kubernetes/bootstrap.yaml", "/run/secrets/sesame")
}

func TestASesameWithTheSettingsOfTheComposeFile(t *testing.T) {
	t.Parallel()
	compose := readManifest(t, "compose.yaml")
	services, _ := compose["services"].(manifest)
	settings := environment{}
	values, _ := services.at("sesame.environment").(manifest)
	for name, value := range values {
		settings[name] = value.(string)
		if !slices.Contains(settingNames(), name) {
			t.Errorf("%s is not a setting", name)
		}
	}
	secrets, _ := compose["secrets"].(manifest)
	for _, service := range []string{"sesame", "database"} {
		for _, name := range texts(services.at(service + ".secrets")) {
			if secrets[name] == nil {
				t.Errorf("the service %s uses the secret %s, which is not declared", service, name)
			}
		}
	}
	for name := range services["sesame"].(manifest)["depends_on"].(manifest) {
		if services[name] == nil {
			t.Errorf("there is no service %s", name)
		}
	}
	address := regexp.MustCompile(`\$\{[^}]*\}`).ReplaceAllString(settings["SESAME_DATABASE_URL"], "x")
	succeeds(t, "", environment{"SESAME_DATABASE_URL": address, "SESAME_MASTER_KEY": testKey()}, "config")
	serves(t, settings, "bootstrap.yaml", "/run/secrets")
}

// The settings in the file of the packages, with those that are commented out, are accepted.
func TestTheSettingsOfThePackages(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(deployment + "systemd/sesame.env")
	if err != nil {
		t.Fatal(err)
	}
	e, all := environment{}, environment{}
	for _, match := range regexp.MustCompile(`(?m)^(#?)(SESAME_\w+)=(.*)$`).FindAllStringSubmatch(string(text), -1) {
		if match[1] == "" {
			e[match[2]] = match[3]
		}
		all[match[2]] = match[3]
	}
	succeeds(t, "", e, "config")
	succeeds(t, "", all, "config")
	if len(all) < 7 {
		t.Errorf("only %v was found", all)
	}
}
