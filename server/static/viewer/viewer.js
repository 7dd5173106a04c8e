import "./viewer-CsWIugqL.js";
