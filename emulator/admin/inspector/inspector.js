// The page of calls. It shows strangers' texts: each is a text node, never markup.

const $ = Object.fromEntries([...document.querySelectorAll("[id]")].map((one) => [one.id, one]));
const KEPT = 2000;  // calls in the list
const EARLIER = 1000;  // calls asked for at first
const AT_ONCE = 50;  // rows made in one task
const GROUP = 100;  // rows of a body of the table; one out of sight costs nothing

// `scope` is the session of the list, "" for all. `open` and `cursor` are calls, as "session/number".
const state = { scope: "", open: "", tab: "asked", filter: "", cursor: "" };
const calls = new Map();  // "session/number" -> { call, row }, the newest last
let arrived = [];  // summaries that wait for `drain`
let held = [];  // those that wait until the list follows again
let source = null;
let shown = null;  // the call that is open, whole
let gateways = [];
let isLive = false;  // whether all earlier calls have come

// --- helpers

// Makes an element: "tag.class", properties, children.
function h(spec, ...children) {
	const [tag, ...classes] = spec.split(".");
	const made = document.createElement(tag);
	if (classes.length) made.className = classes.join(" ");
	if (children[0] && Object.getPrototypeOf(children[0]) === Object.prototype) {
		for (const [name, value] of entries(children.shift())) {
			if (name in made) made[name] = value;
			else made.setAttribute(name, value);
		}
	}
	made.append(...children.flat().filter((child) => child !== "" && isSet(child)));
	return made;
}

const { entries } = Object;
const isSet = (value) => value !== null && value !== undefined;
const isObject = (value) => value !== null && typeof value === "object";
const keyOf = (call) => `${call.session}/${call.number}`;
const words = (text) => String(text).replaceAll("_", " ");
const line = (...parts) => parts.filter(Boolean).join(" · ");
const dim = (text) => h("span.dim", text);
const path = (session, ...rest) => ["sessions", session, ...rest].map(encodeURIComponent).join("/");
const pathOf = (call, ...rest) => path(call.session, "calls", call.number, ...rest);

function seconds(value) {
	if (!isSet(value)) return "";
	return value < 1 ? `${Math.round(value * 1000)} ms` : `${value.toFixed(value < 100 ? 1 : 0)} s`;
}

const bytes = (count) => (count < 1e5 ? `${(count / 1e3).toFixed(1)} kB` : `${(count / 1e6).toFixed(1)} MB`);

function toast(text) {
	$.toast.textContent = text;
	clearTimeout(toast.timer);
	toast.timer = setTimeout(() => $.toast.replaceChildren(), 4000);
}

async function ask(method, where, body, type = "application/json") {
	const options = { method };
	if (body !== undefined) {
		options.body = typeof body === "string" ? body : JSON.stringify(body);
		options.headers = { "Content-Type": type };
	}
	const answer = await fetch(where, options);
	const kind = answer.headers.get("Content-Type");
	const found = await (kind.startsWith("text") ? answer.text() : answer.json());
	if (answer.ok) return found;
	if (answer.status === 401 && !$.loginBox.open) $.loginBox.showModal();
	throw new Error(found.error.message);
}

// Does `work`, and tells what goes wrong.
const attempt = (work) => Promise.resolve().then(work).catch((error) => toast(error.message));

// --- the address: #/s/SESSION/NUMBER/TAB?f=FILTER, in=all: the list has all sessions

function readAddress() {
	const [where, query] = location.hash.slice(1).split("?");
	const [, , session = "", number = "", tab] = where.split("/").map(decodeURIComponent);
	const values = new URLSearchParams(query);
	const scope = values.has("in") ? "" : session;
	const isOther = scope !== state.scope || !source;
	const filter = values.get("f") || "";
	Object.assign(state, { scope, filter, open: number && `${session}/${number}`, tab: Object.hasOwn(TABS, tab) ? tab : "asked" });
	if ($.filter.value !== filter) $.filter.value = filter;
	conditions = parseFilter(filter);
	if (isOther) listen();
	applyFilter();
	showDetail();
}

function go(changes, isStep) {
	const { scope, open, tab, filter } = { ...state, ...changes };
	const [session, number] = open.split("/");
	const query = new URLSearchParams();
	let where = scope ? `#/s/${scope}` : "#/";
	if (open) {
		where = `#/s/${session}/${number}${tab === "asked" ? "" : `/${tab}`}`;
		if (!scope) query.set("in", "all");
	}
	if (filter) query.set("f", filter);
	if (query.size) where += `?${query}`;
	if (where === location.hash) return;
	history[isStep ? "pushState" : "replaceState"](null, "", where);
	readAddress();
}

// --- live

function listen() {
	calls.clear();
	arrived = [];
	held = [];
	$.rows.replaceChildren($.head);
	connect();
	refreshBar();
}

function connect() {
	source?.close();
	const query = new URLSearchParams({ view: "summary", recent: EARLIER });
	if (state.scope) query.set("session", state.scope);
	const opened = new EventSource(`events?${query}`);
	source = opened;
	isLive = false;
	setLive("connecting");
	opened.onerror = () => {
		setLive("reconnecting");
		if (opened.readyState !== EventSource.CLOSED) return;
		// Refused: the browser does not try again by itself.
		ask("GET", "sessions?limit=1").then(() => setTimeout(() => source === opened && connect(), 2000), () => {});
	};
	for (const name of ["began", "call", "live"]) {
		opened.addEventListener(name, ({ data }) => {
			if (!arrived.length) setTimeout(drain, 30);
			arrived.push(name === "live" ? name : JSON.parse(data));
		});
	}
	opened.addEventListener("reset", (event) => forget(JSON.parse(event.data).session));
	opened.addEventListener("dropped", () => arrived.length < EARLIER && connect());
}

function setLive(text) {
	$.live.className = text;
	$.live.textContent = text;
}

function forget(session) {
	const stays = (call) => call.session !== session;
	arrived = arrived.filter(stays);
	held = held.filter(stays);
	for (const { call } of calls.values()) if (!stays(call)) remove(keyOf(call));
	showCount();
	refreshBar();
}

function remove(key) {
	const { row } = calls.get(key);
	const group = row.parentNode;
	row.remove();
	if (!group.rows.length) group.remove();
	calls.delete(key);
}

// Takes what has arrived into the list, a part at a time.
function drain() {
	const isHeld = isLive && ($.list.scrollTop > 8 || state.open);
	const fresh = new Map();  // by key: a call may begin and end meanwhile
	for (const call of arrived.splice(0, document.hidden ? KEPT : AT_ONCE)) {
		if (call === "live") {
			isLive = true;
			setLive(call);
			continue;
		}
		const key = keyOf(call);
		const known = calls.get(key);
		if (known) {
			if (known.call.state !== "under_way" && call.state === "under_way") continue;
			const row = makeRow(call);
			known.row.replaceWith(row);
			calls.set(key, { call, row });
			if (key === state.open) showDetail(true);
		} else if (isHeld && `${call.session}/${call.replay_of}` !== state.open) {
			held = [...held.filter((one) => keyOf(one) !== key), call].slice(-KEPT);
		} else {
			fresh.set(key, call);
		}
	}
	addRows([...fresh.values()]);
	refreshBar();
	if (arrived.length) setTimeout(drain, 30);
}

function addRows(fresh) {
	const { list } = $;
	const height = list.scrollTop > 8 && list.scrollHeight;  // to read it takes a layout
	const rows = fresh.map((call) => {
		const row = makeRow(call);
		calls.set(keyOf(call), { call, row });
		return row;
	});
	while (rows.length) {
		if (!($.head.nextSibling?.rows.length < GROUP)) $.head.after(h("tbody"));
		$.head.nextSibling.prepend(rows.shift());
	}
	if (height) list.scrollTop += list.scrollHeight - height;
	for (const key of calls.keys()) {
		if (calls.size <= KEPT) break;
		remove(key);
	}
	showCount();
}

function follow() {
	addRows(held.splice(0));
	$.list.scrollTop = 0;
}

// --- the list

function makeRow(call) {
	const key = keyOf(call);
	const count = call.pictures.length;
	const time = call.time.slice(11, 19);
	const onclick = (event) => {
		if (event.metaKey || event.ctrlKey) return;
		event.preventDefault();
		open(key);
	};
	const row = h("tr", { hidden: !matches(call), onclick },
		h("td.number", h("b", String(call.number)), h("small", state.scope ? time : call.session)),
		h("td.thumb", count ? h("img", { src: `${pathOf(call, "pictures", 0)}?width=96`, alt: "", loading: "lazy" }) : "",
			count > 1 ? h("small", `×${count}`) : ""),
		h("td.what", h(call.prompt ? "a" : "a.dim", { href: `#/s/${key}` }, call.prompt || "no prompt"),
			h("small", line(call.operation || "unknown path", call.gateway, call.model, call.params.size, call.params.quality))),
		h("td.how", pill(call), h("small", marks(call))),
		h("td.took", call.state === "under_way" ? "…" : seconds(call.duration), h("small", state.scope ? "" : time)));
	row.dataset.key = key;
	if (key === state.cursor) row.setAttribute("aria-current", "true");
	return row;
}

// The answer, in colour and words.
function pill({ state: how, status, refused }) {
	if (how === "under_way") return h("span.pill.info", "under way");
	if (how === "client_gone") return h("span.pill.warn", "client gone");
	const tone = ["good", "info", "warn", "bad"][Math.floor(status / 100) - 2];
	return h(`span.pill.${tone}`, `${status} ${status < 300 ? "ok" : refused ? words(refused.kind) : "scripted"}`);
}

function marks(call) {
	const { refused, rule, reserved, findings, replay_of: first } = call;
	const plain = [refused?.breach && words(refused.breach), reserved?.value !== rule && reserved?.value,
		first && `replay of ${first}`, findings.length > 3 && `${findings.length} findings`].filter(Boolean);
	return [rule ? h("span.rule", rule) : "", plain.map((text) => h("span", text)),
		findings.slice(0, 3).map((code) => h("span.finding", words(code)))].flat();
}

function showCount() {
	const visible = [...calls.values()].filter(({ row }) => !row.hidden).length;
	const all = `${calls.size} ${calls.size === 1 ? "call" : "calls"}`;
	$.count.textContent = state.filter ? `${visible} of ${all}` : all;
	$.fresh.hidden = !held.length;
	$.fresh.textContent = `${held.length} new`;
	$.empty.hidden = !isLive || calls.size > 0;
	document.title = `${all} · Image API Emulator`;
}

// --- the filter

let conditions = [];

function parseFilter(text) {
	return (text.match(/(?:[^\s"]|"[^"]*"?)+/g) || []).map((part) => {
		const found = /^(-?)([\w.]+)(:|~|>=|<=)(.*)$/s.exec(part) || ["", "", "", "~", part];
		return { not: found[1] === "-", field: found[2], how: found[3], value: found[4].replaceAll('"', "") };
	});
}

const matches = (call) => conditions.every((condition) => holds(condition, call) !== condition.not);

function read(call, field) {
	if (!field) return [call.prompt, call.model, call.session, call.gateway, call.rule, call.request_id];
	if (field === "refused") return Object.values(call.refused || {});
	if (field === "finding") return call.findings;
	if (field === "pictures") return call.pictures.length;
	return field in call ? call[field] : call.params[field];
}

function holds({ field, how, value }, call) {
	const found = [read(call, field)].flat().filter(isSet);
	const some = (test) => found.some((one) => test(String(one)));
	if (how === "~") return some((one) => one.toLowerCase().includes(value.toLowerCase()));
	if (how === ">=") return some((one) => Number(one) >= Number(value));
	if (how === "<=") return some((one) => Number(one) <= Number(value));
	return value.split(",").some((wanted) => {
		if (wanted === "any") return found.length > 0;
		if (wanted === "none") return !found.length;
		return some((one) => one === wanted || (/^\dxx$/.test(wanted) && field === "status" && one[0] === wanted[0]));
	});
}

function applyFilter() {
	for (const { call, row } of calls.values()) row.hidden = !matches(call);
	$.rows.className = state.filter ? "" : "fast";
	const all = [...calls.values()].map(({ call }) => call);
	const unknown = all.length && conditions.find(({ field }) => field && field !== "finding"
		&& !all.some((call) => field in call || field in call.params));
	$.hint.textContent = unknown ? `No call has “${unknown.field}”. Words: ${Object.keys(all[0]).join(", ")}.` : "";
	showCount();
}

// --- one call

const TABS = { asked: showAsked, judged: showJudged, answered: showAnswered, elsewhere: showElsewhere };
const COPIES = { curl: "curl", python: "Python", node: "Node", rule: "rule", verify: "verify" };

function open(key) {
	moveCursor(key);
	go({ open: key }, true);
}

function close() {
	go({ open: "", tab: "asked" }, true);
	linkOf(state.cursor)?.focus({ preventScroll: true });
}

async function showDetail(isChanged) {
	const key = state.open;
	document.body.classList.toggle("open", Boolean(key));
	$.detail.hidden = !key;
	if (!key) {
		shown = null;
		return;
	}
	moveCursor(key);
	if (isChanged || !shown || keyOf(shown) !== key) {
		const [session, number] = key.split("/");
		const found = await ask("GET", path(session, "calls", number)).catch((error) => toast(error.message));
		if (state.open !== key) return;
		if (!found) close();
		shown = found;
	}
	if (shown) drawDetail(shown);
}

function drawDetail(call) {
	const focused = document.activeElement.id;
	const pictures = call.pictures.map((picture, index) => {
		const href = pathOf(call, "pictures", index);
		const facts = `${picture.width}×${picture.height} ${picture.format.toUpperCase()}`;
		return h("a", { href, download: `call-${call.number}-${picture.file}` },
			h("img", { src: `${href}?width=640`, alt: `Picture ${index + 1}` }), h("small", facts));
	});
	const where = h("select", { "aria-label": "Gateway" }, ["", ...gateways.filter((name) => name !== call.gateway)]
		.map((value) => h("option", { value }, value ? `at ${value}` : "here")));
	const tabs = Object.keys(TABS).map((name) => h("button", {
		role: "tab", id: `tab-${name}`, ariaSelected: String(name === state.tab), tabIndex: name === state.tab ? 0 : -1,
		onclick: () => go({ tab: name }),
	}, name[0].toUpperCase() + name.slice(1)));
	const panel = h("div", { id: "panel", role: "tabpanel", tabIndex: 0, "aria-labelledby": `tab-${state.tab}` });
	const first = calls.get(state.open)?.call.replay_of;
	$.detail.replaceChildren(
		h("div.head", h("h2", `Call ${call.number}`), pill(call),
			h("button.quiet.close", { ariaLabel: "Close", onclick: close }, "✕")),
		h("p.prompt", { tabIndex: 0 }, isObject(call.given) && call.given.prompt ? text(call.given.prompt) : `${call.method} ${call.path}`),
		h("p.dim", line(call.operation, call.gateway, call.model, `session ${call.session}`, readable(call.time),
			first && `replay of ${first}`)),
		h("div.pictures", pictures),
		h("div.actions",
			h("span.group", dim("Copy as"), h("span.joined", entries(COPIES).map(([kind, label]) =>
				h("button", { onclick: () => attempt(() => copy(kind)) }, label)))),
			h("span.group", h("button", { onclick: () => attempt(() => replay(where.value)) }, "Replay"), where)),
		h("div", { role: "tablist", onkeydown: moveTab }, tabs),
		panel);
	if (focused.startsWith("tab-")) document.getElementById(`tab-${state.tab}`).focus();
	attempt(() => TABS[state.tab](call, panel));
}

function moveTab(event) {
	const by = { ArrowRight: 1, ArrowLeft: 3 }[event.key];
	const names = Object.keys(TABS);
	if (by) go({ tab: names[(names.indexOf(state.tab) + by) % 4] });
}

const text = (value) => (typeof value === "string" ? value : JSON.stringify(value));
const code = (value) => h("code", text(value));
const show = (value) => (typeof value === "string" ? h("span.text", value) : json(value));

function table(head, rows) {
	return h("div.scroll", h("table",
		h("thead", h("tr", head.map((name) => h("th", name)))),
		h("tbody", rows.map(([first, ...rest]) => h("tr", h("th", first), rest.map((cell) => h("td", cell)))))));
}

const headers = (found) => table(["Header", "Value"], entries(found).map(([name, value]) => [code(name), value]));

function showAsked(call, panel) {
	const given = isObject(call.given) ? call.given : {};
	const rows = [...new Set([...Object.keys(given), ...Object.keys(call.params || {})])].map((name) => {
		const understood = call.params?.[name];
		const isSame = JSON.stringify(given[name]) === JSON.stringify(understood);
		return [code(name), name in given ? show(given[name]) : dim("default"),
			call.params === null ? dim("refused") : isSame ? dim("the same") : understood === undefined ? "" : show(understood)];
	});
	panel.append(
		rows.length ? table(["Parameter", "As given", "As understood"], rows) : dim("The call has no parameters."),
		...(call.unreadable ? [h("h3", `No body that can be read: ${words(call.unreadable.why)}`),
			h("pre", call.unreadable.beginning)] : []),
		...call.uploads.map((file) => h("div.file",
			file.width ? h("img", { src: `${path(call.session, "uploads", file.sha256)}?width=192`, alt: "" }) : "",
			h("div", h("b", file.name), " ", file.filename, h("small", line(file.width && `${file.width}×${file.height}`, file.format,
				bytes(file.bytes), isSet(file.alpha_share) && `${Math.round(file.alpha_share * 100)} % transparent`,
				file.media_type)), h("small", code(file.sha256.slice(0, 16)))))),
		h("h3", "Request"), code(`${call.method} ${call.path}${call.query && `?${call.query}`}`),
		headers(call.headers));
}

function showJudged(call, panel) {
	const { refused } = call;
	const isBreach = refused && !call.params;
	const step = (tone, name, about) => h(`li.${tone}`, h("b", name), " ", about);
	let plan = call.operation ? "no rule matched, so it is drawn" : "not asked";
	if (call.rule) plan = `rule “${call.rule}”, turn ${call.turn}`;
	else if (refused) plan = isBreach ? "not asked: a refused call takes no answer" : `refused: ${words(refused.kind)}`;
	panel.append(h("ol.steps",
		step(isBreach ? "bad" : "good", "Contract", isBreach ? `refused: ${words(refused.breach || refused.kind)}`
			: "key, body, model and every parameter are as the gateway wants them"),
		step(isBreach ? "none" : refused ? "warn" : "good", "Scenario", plan),
		step(call.state === "answered" ? "good" : "warn", "Answer", call.state === "answered"
			? `${call.status} in ${seconds(call.duration)}` : words(call.state))));
	if (refused) {
		const facts = ["kind", "breach", "param", "value", "rule", "source"].filter((name) => isSet(refused[name]));
		panel.append(h("p.reason", refused.message), table(["Refused", ""], facts.map((name) => [name, code(refused[name])])));
	}
	if (call.reserved) panel.append(h("p", `A reserved value in the ${call.reserved.door}: `, code(call.reserved.value)));
	for (const miss of call.misses) {
		panel.append(h("h3", "Rule ", code(miss.rule), " did not match"), table(["Field", "Expected", "Came"],
			miss.differences.map((one) => [code(one.field), one.expected, one.came])));
	}
	panel.append(h("h3", "Findings"), call.findings.length ? "" : dim("None."));
	for (const finding of call.findings) {
		const about = h("small.dim");
		panel.append(h("p", h("span.finding", words(finding.code)), " ", finding.message, about));
		ask("GET", `findings/${finding.code}`).then((found) => about.append(found.text), () => {});
	}
}

function showAnswered(call, panel) {
	const { response } = call;
	if (!response) {
		panel.append(dim("Nothing was sent."));
		return;
	}
	if (response.events) {
		const longest = Math.max(0.001, ...response.events.map((event) => event.offset));
		panel.append(h("h3", "Events"), h("ol.timeline", response.events.map((event) => {
			const bar = h("i");
			bar.style.width = `${(event.offset / longest) * 100}%`;
			return h("li", h("span.bar", bar), h("details",
				h("summary", `${seconds(event.offset)} ${event.event || "message"}`), show(event.data)));
		})));
	}
	if (isSet(response.body)) {
		panel.append(h("h3", "Body"), isObject(response.body) ? h("div.json", json(response.body)) : h("pre", text(response.body)));
	}
	panel.append(h("h3", "Headers"), headers(response.headers));
}

// JSON that folds; a picture in it is a chip.
function json(data) {
	if (!isObject(data)) return h(`span.j-${typeof data}`, JSON.stringify(data) ?? "");
	if ("digest" in data && "length" in data) {
		const facts = data.format ? `${data.format.toUpperCase()} ${data.size.replace("x", "×")}, ` : "";
		return h("span.chip", facts + bytes(data.length * (data.format ? 0.75 : 1)));
	}
	const members = entries(data);
	const count = Array.isArray(data) ? `[${members.length}]` : `{${members.length}}`;
	return h("details", { open: members.length < 20 }, h("summary", count),
		h("ul", members.map(([name, value]) => h("li", h("span.j-key", `${name} `), json(value)))));
}

async function showElsewhere(call, panel) {
	const { gateway, operation, given: body, uploads } = call;
	if (!isObject(body) || !["generate", "edit"].includes(operation)) {
		panel.append(dim("Only a call that makes or edits a picture can be compared."));
		return;
	}
	const report = await ask("POST", "portability", { calls: [{ gateway, operation, body, uploads }] });
	const tones = { accepted: "good", refused: "bad", ignores: "warn" };
	const [{ fits, findings }] = report.calls;
	panel.append(table(["Gateway", "Outcome", "Why"], fits.map((fit) => [
		h("span", fit.gateway, h("small", fit.behavior)), h(`span.pill.${tones[fit.outcome] || "info"}`, fit.outcome),
		fit.refused ? fit.refused.message
			: line(fit.ignored.length && `no effect: ${fit.ignored.join(", ")}`, ...fit.assumed)])),
	...findings.map((finding) => h("p", h("span.finding", words(finding.code)), " ", finding.message)));
}

async function copy(kind) {
	if (!shown) return;
	const made = await ask("GET", pathOf(shown, "code", kind));
	const copying = navigator.clipboard?.writeText(made) || Promise.reject();  // on loopback, and with HTTPS
	await copying.then(() => toast(`Copied as ${COPIES[kind]}`), () => {
		document.getElementById("panel").replaceChildren(h("pre", made));
		toast("This page may not copy; the text is below");
	});
}

async function replay(gateway) {
	if (!shown) return;
	await ask("POST", pathOf(shown, "replay"), gateway ? { gateway } : {});
	toast(`Call ${shown.number} is sent again${gateway && ` at ${gateway}`}`);
}

// --- the session bar

let barTimer = 0;
function refreshBar() {
	barTimer ||= setTimeout(() => {
		barTimer = 0;
		showBar().catch(() => {});  // the login is open, or the server is away
	}, 300);
}

async function showBar() {
	const { sessions } = await ask("GET", "sessions?limit=200");
	const names = new Set(["", state.scope, ...sessions.map((one) => one.name)]);
	if (document.activeElement !== $.session) {
		$.session.replaceChildren(...[...names].map((value) => h("option", { value }, value || "All sessions")));
		$.session.value = state.scope;
	}
	setClock(await ask("GET", state.scope ? `clock?session=${state.scope}` : "clock"));
	$.bar.hidden = !state.scope;
	if (!state.scope) return;
	const playing = await ask("GET", path(state.scope, "scenario"));
	$.scenario.replaceChildren(dim("Scenario "), playing.scenario);
	$.about.textContent = playing.about;
	$.limits.replaceChildren(...playing.limits.map(({ limit, most, used }) =>
		h(used >= most ? "span.pill.warn" : "span.pill.info", `${words(limit)} ${Number(used.toFixed(3))}/${most}`)));
}

const readable = (iso) => iso.slice(0, 19).replace("T", " ");
let tick = () => {};
function setClock({ now, clock }) {
	const ahead = Date.parse(now) - Date.now();
	tick = () => {
		$.now.textContent = readable(clock === "real" ? new Date(Date.now() + ahead).toISOString() : now);
	};
	tick();
}

async function advance(span) {
	setClock(await ask("POST", "clock", { advance: span, session: state.scope || null }));
	toast(`The clock of ${state.scope || "all sessions"} moved by ${span}`);
	refreshBar();
}

async function chooseScenario() {
	const { scenarios } = await ask("GET", "scenarios");
	$.readyMade.replaceChildren(h("option", { value: "" }, "choose one"),
		...scenarios.map((one) => h("option", { value: one.name, title: one.about }, one.name)));
	$.problem.textContent = "";
	$.scenarioBox.showModal();
}

async function play(method, body, type) {
	try {
		const playing = await ask(method, path(state.scope, "scenario"), body, type);
		$.scenarioBox.close();
		toast([`Playing ${playing.scenario}`, ...(playing.findings || []).map((one) => one.message)].join(". "));
		refreshBar();
	} catch (error) {
		$.problem.textContent = error.message;
	}
}

async function reset() {
	await ask("POST", path(state.scope, "reset"));
	if (state.open) close();
	toast(`Session ${state.scope} begins anew`);
}

// --- keyboard

const linkOf = (key) => calls.get(key)?.row.querySelector("a");

function moveCursor(key) {
	calls.get(state.cursor)?.row.removeAttribute("aria-current");
	state.cursor = key;
	calls.get(key)?.row.setAttribute("aria-current", "true");
}

function move(by) {
	const rows = [...$.rows.querySelectorAll("tbody tr:not([hidden])")];
	if (!rows.length) return;
	const place = rows.findIndex((row) => row.dataset.key === state.cursor);
	const row = rows[Math.min(Math.max(place + by, 0), rows.length - 1)];
	moveCursor(row.dataset.key);
	linkOf(row.dataset.key).focus({ preventScroll: true });
	row.scrollIntoView({ block: "nearest" });
	if (state.open) go({ open: row.dataset.key });
}

const KEYS = {
	j: () => move(1), ArrowDown: () => move(1), k: () => move(-1), ArrowUp: () => move(-1),
	Enter: () => state.cursor && open(state.cursor), Escape: () => state.open && close(),
	"/": () => $.filter.focus(), s: () => $.session.focus(), "?": () => $.helpBox.showModal(),
	c: () => copy("curl"), r: () => replay(""),
	g: () => { follow(); move(-Infinity); }, G: () => move(Infinity),
};
Object.keys(TABS).forEach((tab, place) => { KEYS[place + 1] = () => state.open && go({ tab }); });

window.onkeydown = (event) => {
	const { key, target } = event;
	if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
	if (target.id === "filter" && (key === "Escape" || key === "Enter")) {
		target.blur();
		move(0);
		return;
	}
	const isOwn = target.matches("input, textarea, select")
		|| (key === "Enter" && target.matches("button, summary, #detail a")) || (key.startsWith("Arrow") && target.closest("#panel"));
	if (isOwn || !KEYS[key]) return;
	event.preventDefault();
	attempt(KEYS[key]);
};

// --- the beginning

const CLICKS = {
	fresh: follow, help: KEYS["?"], minute: () => advance("1m"), hour: () => advance("1h"), scenario: chooseScenario, reset,
	drop: () => play("DELETE"),
	play: () => ($.readyMade.value ? play("PUT", { scenario: $.readyMade.value })
		: play("PUT", $.yaml.value, "application/yaml")),
};
for (const [id, act] of entries(CLICKS)) $[id].onclick = () => attempt(act);
$.filter.oninput = () => go({ filter: $.filter.value });
$.session.onchange = () => {
	$.session.blur();
	go({ scope: $.session.value, open: "" }, true);
};
$.list.onscroll = () => !$.list.scrollTop && !state.open && held.length && follow();
$.login.onsubmit = (event) => {
	event.preventDefault();
	logIn($.token.value).then(() => $.loginBox.close(), (error) => { $.loginProblem.textContent = error.message; });
};
window.onpopstate = readAddress;
setInterval(() => tick(), 1000);

async function logIn(token) {
	await ask("POST", "login", { token });
	await begin();
}

async function begin() {
	gateways = (await ask("GET", "gateways")).gateways.map((gateway) => gateway.name);
	source = null;
	$.example.textContent = $.example.textContent.replace("ORIGIN", location.origin);
	readAddress();
}

$.icon.src = document.querySelector("link[rel=icon]").href;
const [, token] = location.hash.split("#token=");
if (token) {  // the address that `serve` prints
	history.replaceState(null, "", "#/");
	attempt(() => logIn(decodeURIComponent(token)));
} else {
	attempt(begin);
}
