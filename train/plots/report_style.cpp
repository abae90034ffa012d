#include "train/plots/report_parts.h"

namespace mtyolo::train {
namespace {

constexpr std::string_view kStyle = R"(
:root{color-scheme:light dark;--bg:#f6f7f9;--card:#fff;--ink:#1b2430;--muted:#5f6b7a;--line:#e3e7ec;
--soft:#eef1f5;
--accent:#0072b2;--good:#0b7d5c;--warn:#9a5b00;--bad:#b3261e;
--c0:#0072b2;--c1:#d55e00;--c2:#009e73;--c3:#aa4499;--c4:#b27d00;--c5:#3b9ad9;--c6:#882255;--c7:#555}
@media (prefers-color-scheme:dark){:root{--bg:#0e1319;--card:#161d26;--ink:#e7ebf0;--muted:#9aa6b5;
--line:#2a3441;
--soft:#1e2732;--accent:#62b6ee;--good:#3ccf9f;--warn:#f0b35a;--bad:#ff8a80;
--c0:#62b6ee;--c1:#ff9a5c;--c2:#3ccf9f;--c3:#e08bd4;--c4:#eac54f;--c5:#9bd1ff;--c6:#f08fb5;--c7:#b9c2cc}}
*{box-sizing:border-box}
html{scroll-behavior:smooth;scroll-padding-top:3.6rem;-webkit-text-size-adjust:100%}
body{margin:0;background:var(--bg);color:var(--ink);
font:16px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
header,main,footer{max-width:1240px;margin:0 auto;padding:0 clamp(14px,3vw,32px)}
header{padding-top:clamp(20px,4vw,44px)}
h1{font-size:clamp(1.5rem,1.1rem + 1.8vw,2.3rem);line-height:1.15;letter-spacing:-.02em;margin:0 0 .4rem;
overflow-wrap:anywhere}
h2{font-size:1.3rem;letter-spacing:-.01em;margin:2.6rem 0 .9rem}
h3{font-size:1rem;margin:1.4rem 0 .6rem}
p{margin:.3rem 0}
.verdict{font-size:1.1rem;color:var(--muted);max-width:70ch}
.muted{color:var(--muted)}
nav{position:sticky;top:0;z-index:5;background:color-mix(in srgb,var(--bg) 88%,transparent);
backdrop-filter:blur(8px);
border-bottom:1px solid var(--line);margin-top:1.4rem}
nav div{max-width:1240px;margin:0 auto;padding:0 clamp(14px,3vw,32px);display:flex;gap:.25rem;
overflow-x:auto;scrollbar-width:none}
nav a{padding:.65rem .7rem;color:var(--muted);text-decoration:none;white-space:nowrap;font-size:.92rem}
nav a:hover,nav a:focus{color:var(--accent)}
.grid{display:grid;gap:16px;grid-template-columns:repeat(auto-fill,minmax(min(100%,330px),1fr))}
.tiles{display:grid;gap:12px;grid-template-columns:repeat(auto-fit,minmax(min(46%,150px),1fr));
margin-top:1.4rem}
.card{background:var(--card);border:1px solid var(--line);border-radius:12px;padding:14px 16px;margin:0;
min-width:0}
.tile b{display:block;font-size:clamp(1.3rem,1rem + 1.4vw,1.9rem);line-height:1.2;letter-spacing:-.02em;
font-variant-numeric:tabular-nums;overflow-wrap:anywhere}
.tile span{color:var(--muted);font-size:.88rem}
.scroll{overflow:auto;max-height:min(78vh,760px);padding:0}
table{border-collapse:collapse;width:100%;font-size:.92rem;font-variant-numeric:tabular-nums}
th,td{padding:.45rem .8rem;text-align:right;border-bottom:1px solid var(--line);white-space:nowrap}
tr:last-child td{border-bottom:0}
th{position:sticky;top:0;background:var(--card);color:var(--muted);font-weight:600;font-size:.82rem;
z-index:1}
th[data-sort]{cursor:pointer;user-select:none}
th[data-sort]:hover{color:var(--accent)}
td.text,th.text{text-align:left;white-space:normal;overflow-wrap:anywhere;min-width:7.5rem;
unicode-bidi:isolate}
tr.all td{font-weight:650;background:var(--soft)}
.bar{position:relative;min-width:120px}
.bar i{position:absolute;left:.8rem;bottom:.2rem;height:3px;border-radius:2px;max-width:calc(100% - 1.6rem);
background:var(--c0)}
.bar i.s1{background:var(--c1)}
.swatch{display:inline-block;width:.7em;height:.7em;border-radius:3px;margin-right:.5em;
vertical-align:baseline}
.badge{display:inline-block;border-radius:999px;padding:.05rem .55rem;font-size:.8rem;font-weight:600;
background:var(--soft)}
.badge.error{color:var(--bad)}.badge.warning{color:var(--warn)}.badge.info{color:var(--muted)}
pre{margin:.5rem 0 0;padding:.7rem .9rem;background:var(--soft);border-radius:8px;overflow-x:auto;
font-size:.88rem;
font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;white-space:pre-wrap;
overflow-wrap:anywhere}
figure.picture img{display:block;width:100%;height:auto;border-radius:8px;background:#fff;cursor:zoom-in}
figure.picture figcaption{margin-top:.6rem;font-size:.92rem;overflow-wrap:anywhere}
.wide{grid-template-columns:repeat(auto-fill,minmax(min(100%,420px),1fr))}
.chart{position:relative}
.chart figcaption{display:flex;flex-wrap:wrap;gap:.2rem .9rem;justify-content:space-between;
font-size:.92rem;margin-bottom:.3rem}
.chart svg{display:block;width:100%;height:auto;touch-action:pan-y}
.chart text{fill:var(--muted);font-size:10.5px}
.chart .end{text-anchor:end}.chart .mid{text-anchor:middle}
.grid line.grid,.chart line.grid{stroke:var(--line);stroke-width:1}
.cursor{stroke:var(--muted);stroke-width:1;stroke-dasharray:3 3;visibility:hidden}
.line{fill:none;stroke-width:1.8;stroke-linejoin:round;stroke-linecap:round}
.keys{display:flex;flex-wrap:wrap;gap:.1rem .8rem;color:var(--muted)}
.key::before{content:"";display:inline-block;width:.9em;height:.22em;border-radius:2px;
background:currentColor;margin-right:.4em;vertical-align:.25em}
.key{font-size:.85rem;overflow-wrap:anywhere}
.s0{--s:var(--c0)}.s1{--s:var(--c1)}.s2{--s:var(--c2)}.s3{--s:var(--c3)}.s4{--s:var(--c4)}.s5{--s:var(--c5)}
.s6{--s:var(--c6)}.s7{--s:var(--c7)}
.line{stroke:var(--s)}.dot{fill:var(--s)}.key::before{background:var(--s)}
.tip{position:absolute;pointer-events:none;background:var(--ink);color:var(--bg);border-radius:8px;
padding:.35rem .6rem;font-size:.82rem;
line-height:1.35;white-space:pre;font-variant-numeric:tabular-nums;top:2.6rem;z-index:2}
.time{display:flex;height:1.6rem;border-radius:8px;overflow:hidden;margin-bottom:.8rem;
background:var(--soft)}
.time i{background:var(--s);min-width:1px;border-right:1px solid var(--card)}
ol.steps{padding-left:1.3rem;margin:0}ol.steps li{margin:.5rem 0}
details summary{cursor:pointer;font-weight:600;padding:.2rem 0}
dialog{border:0;padding:0;background:transparent;max-width:98vw;max-height:98vh}
dialog img{display:block;max-width:98vw;max-height:96vh;background:#fff;border-radius:8px;cursor:zoom-out}
dialog::backdrop{background:rgba(0,0,0,.8)}
footer{padding-top:2.4rem;padding-bottom:3rem;color:var(--muted);font-size:.88rem}
@media print{nav{display:none}.scroll{max-height:none;overflow:visible}.card{break-inside:avoid}}
)";

constexpr std::string_view kScript = R"(
'use strict';
const show=v=>v==null?'-':Math.abs(v)>=1000?v.toFixed(0):String(+v.toPrecision(4));
for(const svg of document.querySelectorAll('svg[data-chart]')){
  const d=JSON.parse(svg.dataset.chart),tip=svg.nextElementSibling,cursor=svg.querySelector('.cursor');
  const box=svg.viewBox.baseVal,left=44,right=box.width-10,at=x=>left+(x-d.low)/(d.high-d.low)*(right-left);
  svg.addEventListener('pointermove',e=>{
    const r=svg.getBoundingClientRect(),u=(e.clientX-r.left)/r.width*box.width;
    let best=-1;
    d.x.forEach((x,i)=>{
      if(x==null||!d.lines.some(l=>l.y[i]!=null))return;
      if(best<0||Math.abs(at(x)-u)<Math.abs(at(d.x[best])-u))best=i;
    });
    if(best<0)return;
    const x=at(d.x[best]);
    cursor.setAttribute('x1',x);cursor.setAttribute('x2',x);cursor.style.visibility='visible';
    tip.textContent='epoch '+d.x[best]+d.lines.map(l=>'\n'+show(l.y[best])+'  '+l.name).join('');
    tip.hidden=false;
    const p=x/box.width*r.width+svg.offsetLeft;
    if(x>box.width/2){tip.style.left='';tip.style.right=(svg.parentNode.clientWidth-p+8)+'px'}
    else{tip.style.right='';tip.style.left=(p+8)+'px'}
  });
  svg.addEventListener('pointerleave',()=>{tip.hidden=true;cursor.style.visibility='hidden'});
}
for(const head of document.querySelectorAll('th[data-sort]'))head.addEventListener('click',()=>{
  const body=head.closest('table').tBodies[0],at=head.cellIndex,down=head.dataset.sort!=='down';
  head.dataset.sort=down?'down':'up';
  const key=row=>{
    const t=row.cells[at].dataset.v??row.cells[at].textContent,n=parseFloat(t);
    return isNaN(n)?t:n;
  };
  const rows=[...body.rows].filter(r=>!r.classList.contains('all'));
  rows.sort((a,b)=>{
    const x=key(a),y=key(b),sign=(typeof x==='number')===down?-1:1;
    return x<y?-sign:x>y?sign:0;
  });
  rows.forEach(r=>body.append(r));
});
const dialog=document.querySelector('dialog'),large=dialog.firstElementChild;
for(const img of document.querySelectorAll('figure.picture img'))img.addEventListener('click',()=>{
  large.src=img.src;
  large.alt=img.alt;
  dialog.showModal();
});
dialog.addEventListener('click',()=>dialog.close());
)";

}  // namespace

std::string_view report_style() { return kStyle; }
std::string_view report_script() { return kScript; }

}  // namespace mtyolo::train
