import "./viewer-DEUHrsEe.js";
