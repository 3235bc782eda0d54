import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { RouterProvider } from "@tanstack/react-router";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";

import { ApiError } from "./api/client";
import { router } from "./app/router";
import { ThemeOf } from "./app/theme";
import { Spoken } from "./i18n";
import "./theme.css";

const MOST_TRIES = 2;
const client = new QueryClient({
  defaultOptions: {
    queries: {
      staleTime: 4000,
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
        <Spoken>
          <QueryClientProvider client={client}>
            <RouterProvider router={router} />
          </QueryClientProvider>
        </Spoken>
      </ThemeOf>
    </StrictMode>,
  );
}
