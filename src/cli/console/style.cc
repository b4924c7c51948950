#include "cli/console/style.h"

namespace assertion::cli {

// Contrasts are at least 4.5:1 for text and 3:1 for bars (WCAG 2.2, 1.4.3 and 1.4.11).
const char* const kConsoleStyle = R"(:root {
  color-scheme: light dark;
  --ground: #f5f6f8; --card: #ffffff; --text: #1b2430; --quiet: #55606e; --line: #d5dae1; --link: #0b57a4;
  --good: #14692e; --bad: #a11d1d; --warn: #7a4b00;
  --published: #7d8aa0; --signing: #1f7a45; --retiring: #b07614; --now: #a11d1d; --button: #0b57a4; --button-text: #ffffff;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ground: #12161c; --card: #1b2129; --text: #e4e8ee; --quiet: #a3adba; --line: #36404c; --link: #8ab8f0;
    --good: #7fd69b; --bad: #ff9d94; --warn: #f0bd6b;
    --published: #7f8ca3; --signing: #4cb377; --retiring: #d79b3c; --now: #ff9d94; --button: #8ab8f0; --button-text: #10151b;
  }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--text); font: 16px/1.5 system-ui, sans-serif; }
header, main { max-width: 68rem; margin: 0 auto; padding: 0 1rem; }
header { display: flex; flex-wrap: wrap; align-items: baseline; gap: 0 1.5rem; padding-top: 1rem; }
.brand { margin: 0; font-weight: 650; }
nav { display: flex; flex-wrap: wrap; gap: 0 1.25rem; }
h1 { font-size: 1.6rem; line-height: 1.25; margin: 1.25rem 0 1rem; }
h2 { font-size: 1.15rem; margin: 0 0 .5rem; }
h3 { font-size: 1rem; margin: 1.25rem 0 .25rem; overflow-wrap: anywhere; }
a { color: var(--link); }
a:focus-visible, button:focus-visible, input:focus-visible, select:focus-visible, .scroll:focus-visible {
  outline: 3px solid var(--link); outline-offset: 2px;
}
section { background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: 1rem; margin: 0 0 1rem; }
p { margin: .35rem 0; overflow-wrap: anywhere; }
code, pre { font: 13px/1.5 ui-monospace, monospace; overflow-wrap: anywhere; }
pre { white-space: pre-wrap; background: var(--ground); border: 1px solid var(--line); border-radius: 6px; padding: .6rem; margin: .5rem 0; }
.quiet { color: var(--quiet); }
.good { color: var(--good); }
.bad { color: var(--bad); }
.warn { color: var(--warn); }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: .92rem; }
caption { text-align: left; color: var(--quiet); padding-bottom: .25rem; }
th, td { text-align: left; vertical-align: top; padding: .35rem .9rem .35rem 0; border-bottom: 1px solid var(--line); }
th { font-weight: 600; white-space: nowrap; }
tbody tr:last-child td { border-bottom: 0; }
.actions { display: flex; flex-wrap: wrap; gap: 0 1rem; }
.key { margin: .75rem 0; }
.key p { margin: 0; }
.state { font-weight: 600; }
.life { display: block; width: 100%; height: 22px; margin: .2rem 0; }
.life .track { fill: var(--ground); }
.life .published, .legend .published { fill: var(--published); background: var(--published); }
.life .signing, .legend .signing { fill: var(--signing); background: var(--signing); }
.life .retiring, .legend .retiring { fill: var(--retiring); background: var(--retiring); }
.life .now, .legend .now { fill: var(--now); background: var(--now); }
.life .end, .legend .end { fill: var(--text); background: var(--text); }
.scale { display: flex; justify-content: space-between; color: var(--quiet); font-size: .85rem; border-bottom: 1px solid var(--line); }
.legend { display: flex; flex-wrap: wrap; gap: .25rem 1rem; color: var(--quiet); font-size: .85rem; padding: 0; margin: .5rem 0; list-style: none; }
.legend span { display: inline-block; width: .9rem; height: .7rem; margin-right: .4rem; border-radius: 2px; }
.legend .now, .legend .end { width: .2rem; }
.exchange th { white-space: normal; }
.exchange td { overflow-wrap: anywhere; }
.provider { font-weight: 600; }
form { display: grid; gap: .75rem; max-width: 36rem; margin-top: .75rem; }
label { display: grid; gap: .2rem; font-weight: 600; }
label.choice { display: flex; gap: .5rem; align-items: baseline; font-weight: 400; }
.hint { font-weight: 400; color: var(--quiet); font-size: .9rem; }
input, select { font: inherit; color: inherit; background: var(--ground); border: 1px solid var(--quiet); border-radius: 6px; padding: .4rem .5rem; width: 100%; }
input[type=checkbox] { width: auto; }
button { font: inherit; font-weight: 600; justify-self: start; border: 0; border-radius: 6px; padding: .5rem 1rem; background: var(--button); color: var(--button-text); cursor: pointer; }
)";

}  // namespace assertion::cli
