"""The style of the report: light and dark by the reader's setting, one column on a phone, plain on paper."""

STYLE = """
:root{--ground:#fff;--panel:#f5f6f8;--line:#d8dce2;--ink:#16202c;--soft:#5a6675;--blue:#2563a8;--orange:#c2570c;
--red:#b3261e;--shade:#f3c9a5;--heat:37,99,168;color-scheme:light dark}
@media (prefers-color-scheme:dark){:root{--ground:#12161c;--panel:#1b212a;--line:#343d4a;--ink:#e8ecf1;--soft:#a3afbd;
--blue:#6aa9ee;--orange:#f0954a;--red:#f2857d;--shade:#5c3a1c;--heat:106,169,238}}
*{box-sizing:border-box}
body{margin:0;background:var(--ground);color:var(--ink);font:15px/1.5 system-ui,sans-serif;
-webkit-text-size-adjust:100%}
main{max-width:1040px;margin:0 auto;padding:16px}
h1{font-size:1.5rem;margin:.2em 0;overflow-wrap:anywhere}
h2{font-size:1.2rem;margin:2.2em 0 .4em;padding-top:.6em;border-top:1px solid var(--line)}
h3{font-size:1rem;margin:1.4em 0 .4em}
p{margin:.4em 0}
.caution{border-left:4px solid var(--red);background:var(--panel);padding:8px 12px;margin:10px 0}
.soft{color:var(--soft);font-size:.87rem}
nav{display:flex;flex-wrap:wrap;gap:.3em 1em;margin:.8em 0;font-size:.9rem}
a{color:var(--blue)}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(150px,1fr));gap:10px;margin:14px 0}
.tile{background:var(--panel);border:1px solid var(--line);border-radius:8px;padding:10px 12px}
.tile b{display:block;font-size:1.45rem;line-height:1.2;overflow-wrap:anywhere}
.tile span{display:block;color:var(--soft);font-size:.8rem}
.scroll{overflow-x:auto;border:1px solid var(--line);border-radius:8px;margin:.6em 0}
table{border-collapse:collapse;width:100%;font-size:.86rem;font-variant-numeric:tabular-nums}
th,td{padding:5px 9px;text-align:left;border-bottom:1px solid var(--line);vertical-align:top}
th{background:var(--panel);font-weight:600}
tr:last-child td{border-bottom:0}
td.n,th.n{text-align:right;white-space:nowrap}
td.name{overflow-wrap:anywhere;min-width:8em}
@media (max-width:520px){th,td{padding:4px 6px}td.n,th.n{white-space:normal}td.name{min-width:6.5em;hyphens:auto}}
details{margin:.5em 0}
summary{cursor:pointer;color:var(--soft);font-size:.87rem}
.bars{margin:.6em 0}
.bar{display:grid;grid-template-columns:minmax(90px,230px) 1fr 108px;gap:8px;align-items:center;
margin:3px 0;font-size:.86rem}
.bar .label{overflow-wrap:anywhere;line-height:1.25}
.bar .track{background:var(--panel);height:16px;border-radius:3px}
.bar .fill{display:block;background:var(--blue);height:16px;border-radius:3px}
.bar .value{color:var(--soft);text-align:right;white-space:nowrap;font-variant-numeric:tabular-nums}
.chart{margin:.6em 0}
.chart svg{display:block;width:100%;height:190px;background:var(--panel);border:1px solid var(--line);border-radius:6px}
.chart.square svg{height:auto;max-width:520px;aspect-ratio:1}
.axis{display:flex;justify-content:space-between;color:var(--soft);font-size:.78rem;gap:6px}
.heat{display:grid;grid-template-columns:2.4em repeat(24,1fr);gap:2px;font-size:.7rem;color:var(--soft)}
.heat i{display:block;height:20px;border-radius:2px;background:rgba(var(--heat),var(--o));border:1px solid var(--line)}
.heat span{text-align:center;white-space:nowrap;overflow:hidden}
.heat span:nth-child(25n+1){text-align:left}
.key{display:inline-block;width:.9em;height:.9em;border-radius:2px;vertical-align:-1px;margin:0 .3em 0 .8em}
ul.findings{padding-left:1.1em}
ul.findings li{margin:.6em 0;overflow-wrap:anywhere}
.kind{display:inline-block;background:var(--panel);border:1px solid var(--line);border-radius:4px;padding:0 6px;
font-size:.78rem;margin-right:.4em}
.plant{overflow-wrap:anywhere}
@media (max-width:600px){main{padding:10px}.bar{grid-template-columns:minmax(80px,38%) 1fr 98px}.heat{gap:1px}
.heat i{height:16px}.heat span{font-size:.6rem}.heat span.odd{visibility:hidden}th,td{padding:4px 6px}}
@media print{:root{--ground:#fff;--panel:#f5f6f8;--line:#bbb;--ink:#000;--soft:#444;--blue:#2563a8;--orange:#c2570c;
--shade:#f3c9a5;--heat:37,99,168}main{max-width:none}nav{display:none}.scroll{overflow:visible}
h2{break-after:avoid}.tile,.bar,.chart,tr{break-inside:avoid}*{print-color-adjust:exact;-webkit-print-color-adjust:exact}}
"""
