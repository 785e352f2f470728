package cli

// root is the grammar of the command line.
type root struct {
	JSON    bool   `name:"json" help:"Print JSON."`
	Quiet   bool   `short:"q" help:"Print no talk, only results and errors."`
	Lang    string `placeholder:"zh|en" help:"Language of explanations and errors; default from LC_ALL, LC_MESSAGES, LANG."`
	URL     string `name:"url" placeholder:"URL" help:"Gateway that client commands talk to (HONGYAN_URL)."`
	KeyFile string `name:"key-file" placeholder:"FILE" help:"File with the API key (HONGYAN_KEY_FILE; or the key itself in HONGYAN_KEY)."`
	Config  string `short:"c" placeholder:"FILE" help:"YAML file with settings (HONGYAN_CONFIG)."`

	Dev     devCmd     `cmd:"" group:"Run" help:"Run gateway and sandbox together, seeded, without any account."`
	Serve   serveCmd   `cmd:"" group:"Run" help:"Run the production server."`
	Sandbox sandboxCmd `cmd:"" group:"Run" help:"Run only the sandbox: a WeCom to try against."`
	Doctor  doctorCmd  `cmd:"" group:"Run" help:"Look for what is wrong and say how to put it right."`
	Conf    confCmd    `cmd:"" name:"config" group:"Run" help:"Check or print the settings."`

	Send     sendCmd     `cmd:"" group:"Messages" help:"Send a message."`
	Messages messagesCmd `cmd:"" group:"Messages" help:"Find, watch, resend, release and cancel messages."`
	Lanes    lanesCmd    `cmd:"" group:"Messages" help:"Show how full each lane is and why it waits."`

	Apply    applyCmd    `cmd:"" group:"Setup" help:"Create or change apps, scenes, audiences… from YAML files."`
	Export   exportCmd   `cmd:"" group:"Setup" help:"Write apps, scenes, audiences… as YAML."`
	App      appCmd      `cmd:"" group:"Setup" help:"WeCom applications."`
	Scene    sceneCmd    `cmd:"" group:"Setup" help:"Scenes and their versions."`
	Schedule scheduleCmd `cmd:"" group:"Setup" help:"Recurring messages."`
	Audience audCmd      `cmd:"" group:"Setup" help:"Named lists of recipients."`
	Robot    robotCmd    `cmd:"" group:"Setup" help:"Group robots."`
	Key      keyCmd      `cmd:"" group:"Setup" help:"API keys."`

	Errcode    errcodeCmd    `cmd:"" group:"Other" help:"Explain a WeCom errcode, offline."`
	Completion completionCmd `cmd:"" group:"Other" help:"Print a completion script for a shell."`
	Version    versionCmd    `cmd:"" group:"Other" help:"Print the version."`
}

// examples has at least one example per command; the help shows them and a
// test parses each.
func examples() map[string][]string {
	return map[string][]string{
		"":                {"hongyan dev", "hongyan send program-alert --to zhangsan --data service=billing --data error=OOM --wait"},
		"dev":             {"hongyan dev", "hongyan dev --fresh --data /tmp/try"},
		"serve":           {"hongyan serve --config /etc/hongyan/hongyan.yaml", "hongyan serve --data /var/lib/hongyan --listen 0.0.0.0:8420"},
		"sandbox":         {"hongyan sandbox", "hongyan sandbox --sandbox-listen 127.0.0.1:9000"},
		"doctor":          {"hongyan doctor", "hongyan doctor --json"},
		"config":          {"hongyan config check --config hongyan.yaml"},
		"config check":    {"hongyan config check --config hongyan.yaml"},
		"config print":    {"hongyan config print"},
		"send":            {"hongyan send program-alert --to zhangsan,lisi --data service=billing --data error=OOM", "hongyan send 12 --audience oncall --data @alert.json --wait", "hongyan send --app ops --text 'Backup is done' --to zhangsan"},
		"messages":        {"hongyan messages list --state failed"},
		"messages list":   {"hongyan messages list --state failed --scene program-alert --limit 20", "hongyan messages list --merged-into msg_0"},
		"messages get":    {"hongyan messages get msg_0", "hongyan messages get msg_0 --recipients"},
		"messages watch":  {"hongyan messages watch msg_0 --timeout 5m"},
		"messages resend": {"hongyan messages resend msg_0 --only failed --render latest"},
		"messages cancel": {"hongyan messages cancel msg_0"},

		"messages release": {"hongyan messages release msg_0", "hongyan messages release msg_0 --drop"},

		"lanes":            {"hongyan lanes", "hongyan lanes ops", "hongyan lanes --hot --watch"},
		"apply":            {"hongyan apply -f hongyan.d --dry-run", "hongyan apply -f hongyan.d"},
		"export":           {"hongyan export > all.yaml", "hongyan export --kind scenes"},
		"app":              {"hongyan app list"},
		"app list":         {"hongyan app list"},
		"app get":          {"hongyan app get ops"},
		"app test":         {"hongyan app test ops"},
		"app pause":        {"hongyan app pause ops"},
		"app resume":       {"hongyan app resume ops"},
		"app directory":    {"hongyan app directory ops", "hongyan app directory ops --refresh"},
		"app delete":       {"hongyan app delete ops --yes"},
		"scene":            {"hongyan scene list"},
		"scene list":       {"hongyan scene list"},
		"scene get":        {"hongyan scene get program-alert --json"},
		"scene versions":   {"hongyan scene versions program-alert"},
		"scene rollback":   {"hongyan scene rollback program-alert 3"},
		"scene preview":    {"hongyan scene preview program-alert --data service=billing --data error=OOM", "hongyan scene preview program-alert --draft scene.yaml --data @sample.json"},
		"scene delete":     {"hongyan scene delete program-alert --yes"},
		"schedule":         {"hongyan schedule list"},
		"schedule list":    {"hongyan schedule list"},
		"schedule show":    {"hongyan schedule show morning"},
		"schedule preview": {"hongyan schedule preview morning"},
		"schedule run":     {"hongyan schedule run morning"},
		"schedule delete":  {"hongyan schedule delete morning --yes"},
		"audience":         {"hongyan audience list"},
		"audience list":    {"hongyan audience list"},
		"audience get":     {"hongyan audience get oncall"},
		"audience delete":  {"hongyan audience delete oncall --yes"},
		"robot":            {"hongyan robot list"},
		"robot list":       {"hongyan robot list"},
		"robot get":        {"hongyan robot get ops-room"},
		"robot delete":     {"hongyan robot delete ops-room --yes"},
		"key":              {"hongyan key list"},
		"key create":       {"hongyan key create erp --scope send,read --scene program-alert --network 10.0.0.0/8"},
		"key list":         {"hongyan key list"},
		"key revoke":       {"hongyan key revoke key_0 --yes"},
		"errcode":          {"hongyan errcode 60020", "hongyan errcode 60020 --lang zh"},
		"completion":       {"hongyan completion bash"},
		"version":          {"hongyan version --json"},
	}
}
