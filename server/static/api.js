// Shows the API's OpenAPI document by Swagger UI, with URLs that can be copied as they are.
"use strict";

const place = document.getElementById("api");

// A public path keeps its slashes, and a slice its colons: what is shown is what one embeds in a program.
function readable(request) {
  const url = new URL(request.url, window.location.href);
  const path = url.pathname.replace(/%2F/gi, "/").replace(/%3A/gi, ":");
  const query = url.search.replace(/%3A/gi, ":").replace(/%2C/gi, ",").replace(/%2F/gi, "/");
  request.url = url.origin + path + query;
  return request;
}

window.SwaggerUIBundle({
  url: place.dataset.document,
  domNode: place,
  deepLinking: true,
  tryItOutEnabled: true,
  displayRequestDuration: true,
  validatorUrl: null,
  requestInterceptor: readable,
});
