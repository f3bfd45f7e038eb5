// Relative, so that a proxy may serve Penstock below a path. The key stays in this page's memory.
SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#page",
  deepLinking: true,
  persistAuthorization: false,
  validatorUrl: null,
});
