import "./viewer-B_Tu-feE.js";
