import { QueryCache, QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { RouterProvider } from "@tanstack/react-router";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";

import { ApiError, needsToken } from "./api/client";
import { renew } from "./app/renewal";
import { router } from "./app/router";
import { SESSION } from "./app/session";
import { ThemeOf } from "./app/theme";
import { Spoken } from "./i18n";
import "./styles/tokens.css";
import "./styles/base.css";
import "./styles/frame.css";
import "./styles/parts.css";
import "./styles/views.css";
import "./styles/welcome.css";
import "./styles/costs.css";
import "./styles/limits.css";
import "./styles/sessions.css";
import "./styles/changes.css";
import "./styles/charts.css";
import "./styles/year.css";

const MOST_TRIES = 2;
const client: QueryClient = new QueryClient({
  queryCache: new QueryCache({
    // a session that ended while the page was open: the frame asks again, and shows the form
    onError: (error, query) => {
      if (needsToken(error) && query.queryKey[0] !== SESSION) void client.invalidateQueries({ queryKey: [SESSION] });
    },
  }),
  defaultOptions: {
    queries: {
      staleTime: 4000,
      gcTime: 60_000, // every step of the range is another question
      refetchOnWindowFocus: true,
      // what is wrong with the question stays wrong; what is wrong with the server may pass
      retry: (failures, error) => failures < MOST_TRIES && !(error instanceof ApiError && error.status >= 400 && error.status < 500),
    },
  },
});

const root = document.getElementById("root");
if (root !== null) {
  createRoot(root).render(
    <StrictMode>
      <ThemeOf>
        <Spoken onMissing={renew}>
          <QueryClientProvider client={client}>
            <RouterProvider router={router} />
          </QueryClientProvider>
        </Spoken>
      </ThemeOf>
    </StrictMode>,
  );
}
